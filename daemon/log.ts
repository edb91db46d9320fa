import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';

/** Characters written at once. */
const PIECE = 16 * 1024;

/**
 * The daemon's log: one line of JSON per upload, deletion and error on standard output, or readable lines on a
 * terminal. JSON is written in pieces of 16 KiB, at the latest after a second, and at the end.
 */
export function createLog(): { log: Logger; flush(): void } {
  // Nobody reads any more: that is no reason to stop storing, or not to end.
  process.stdout.on('error', () => {});
  if (process.stdout.isTTY) {
    const stream = pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', sync: true });
    return { log: pino(stream), flush: () => {} };
  }
  let pending = '';
  // Node writes to files, pipes and terminals at once. (pino's own flush tries for ever when nobody reads any more.)
  const flush = () => {
    if (pending !== '') process.stdout.write(pending);
    pending = '';
  };
  const write = (line: string) => {
    pending += line;
    if (pending.length >= PIECE) flush();
  };
  setInterval(flush, 1000).unref();
  return { log: pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, { write }), flush };
}
