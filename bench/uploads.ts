import { randomBytes } from 'node:crypto';
import type { BenchServer } from './server.js';
import { short, withSpread } from './table.js';
import { davScript, interleave, type Load, postScript, type Run, ratio } from './wrk.js';

/** Returns a multipart form with one file. */
export function multipart(
  content: Buffer,
  disposition = 'form-data; name="file"; filename="photo.jpg"',
): { type: string; body: Buffer; newAt: number } {
  const boundary = '------------------------d74496d66958873e';
  const head = `--${boundary}\r\nContent-Disposition: ${disposition}\r\nContent-Type: image/jpeg\r\n\r\n`;
  const body = Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  return { type: `multipart/form-data; boundary=${boundary}`, body, newAt: Buffer.byteLength(head) };
}

/** Returns a table row that compares two loads. */
export function row(work: string, against: string, subject: Run[], reference: Run[]): string[] {
  const columns = [subject, reference].flatMap((runs) => [
    withSpread(runs.map((run) => run.rate)),
    withSpread(runs.map((run) => run.cpu)),
  ]);
  return [work, against, ...columns, short(ratio(subject, reference))];
}

/** The small uploads that are measured: name, bytes, connections. */
export const SMALL_UPLOADS = [
  ['1 KB', 1000, 64],
  ['100 KB', 100_000, 16],
] as const;

/** Measures small durable uploads through nginx, against nginx's own DAV PUT, which syncs nothing. Returns table rows. */
export async function benchUploads(server: BenchServer, directory: string, rounds: number): Promise<string[][]> {
  const rows: string[][] = [];
  for (const [name, bytes, connections] of SMALL_UPLOADS) {
    const content = randomBytes(bytes);
    const form = multipart(content);
    const own = [server.daemonPid, server.workerPid];
    const { key } = server;
    const load = (script: string, pids: number[]): Load => ({
      ...{ origin: server.origin, script, connections, seconds: 3, pids },
    });
    const runs = await interleave(
      {
        raw: load(postScript(directory, `raw-${bytes}`, { key, type: 'image/jpeg', body: content, newAt: 0 }), own),
        dav: load(davScript(directory, `dav-${bytes}`, content), [server.workerPid]),
        multipart: load(postScript(directory, `multipart-${bytes}`, { key, ...form }), own),
      },
      rounds,
    );
    rows.push(row(`raw POST ${name}, c${connections}`, 'DAV PUT', runs.raw, runs.dav));
    rows.push(row(`multipart POST ${name}, c${connections}`, 'raw POST', runs.multipart, runs.raw));
  }
  return rows;
}
