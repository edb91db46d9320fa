import pino, { type Logger } from 'pino';

/** Characters per write. */
const PIECE = 16 * 1024;

/**
 * Creates the daemon's log: one line of JSON per upload, deletion and error on standard output, or readable lines on a
 * terminal. JSON is buffered and written every 16 KiB, at least every second, and by `flush`.
 */
export async function createLog(): Promise<{ log: Logger; flush(): void }> {
  // A closed standard output stops neither the node nor its shutdown.
  process.stdout.on('error', () => {});
  if (process.stdout.isTTY) {
    const { default: pretty } = await import('pino-pretty');
    const stream = pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', sync: true });
    return { log: pino(stream), flush: () => {} };
  }
  let pending = '';
  // Node writes to files, pipes and terminals synchronously. (pino's own flush retries without end if standard output is
  // closed.)
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
