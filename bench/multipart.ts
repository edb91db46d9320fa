import { randomBytes } from 'node:crypto';
import { startServer } from './server.js';
import { markdownTable } from './table.js';
import { multipart, row, SMALL_UPLOADS } from './uploads.js';
import { interleave, type Load, postScript } from './wrk.js';

const ROUNDS = 5;
/** The same parameters in another order, which the daemon passes to busboy. */
const UNUSUAL = 'form-data; filename="photo.jpg"; name="file"';

/** Measures small forms parsed in memory, against raw bodies and against the same forms parsed by busboy. Returns a table. */
export async function measureMultipart(directory: string): Promise<string> {
  const server = await startServer(directory);
  try {
    const rows: string[][] = [];
    for (const [name, bytes, connections] of SMALL_UPLOADS) {
      const content = randomBytes(bytes);
      const { key, origin } = server;
      const load = (script: string, form: { type: string; body: Buffer; newAt: number }): Load => ({
        script: postScript(directory, `${script}-${bytes}`, { key, ...form }),
        ...{ origin, connections, seconds: 3, pids: [server.daemonPid, server.workerPid] },
      });
      const runs = await interleave(
        {
          plain: load('plain', multipart(content)),
          busboy: load('busboy', multipart(content, UNUSUAL)),
          raw: load('raw', { type: 'image/jpeg', body: content, newAt: 0 }),
        },
        ROUNDS,
      );
      rows.push(row(`multipart POST ${name}, c${connections}`, 'the same by busboy', runs.plain, runs.busboy));
      rows.push(row(`multipart POST ${name}, c${connections}`, 'raw POST', runs.plain, runs.raw));
    }
    return markdownTable([
      ['work', 'reference', 'fidfs, ops/s', 'CPU us/op', 'reference, ops/s', 'CPU us/op', 'ratio'],
      ...rows,
    ]);
  } finally {
    await server.stop();
  }
}
