import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';

/**
 * The daemon's log: one line of JSON per upload, deletion and error on standard output, or readable lines on a
 * terminal. JSON is written in pieces of 32 KiB, at the latest after a second, and at the end.
 */
export function createLog(): { log: Logger; flush(): void } {
  if (process.stdout.isTTY) {
    const stream = pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', sync: true });
    return { log: pino(stream), flush: () => {} };
  }
  const destination = pino.destination({ fd: 1, sync: false, minLength: 32768, maxWrite: 65536 });
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  setInterval(() => destination.flush(), 1000).unref();
  return { log, flush: () => destination.flushSync() };
}
