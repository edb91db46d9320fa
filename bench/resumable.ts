import { randomBytes } from 'node:crypto';
import { request } from 'undici';
import { pidsOf } from './pair.js';
import { cpuSeconds } from './processes.js';
import { type BenchServer, startServer } from './server.js';
import { markdownTable, median, short, withSpread } from './table.js';

const ROUNDS = 5;
const PIECE = 8 * 2 ** 20;
const PIECES = 128;
const MEBIBYTES = (PIECE * PIECES) / 2 ** 20;

/** Measures 1 GiB by tus in parts of 8 MiB, against one raw POST of the same size by the same client. Returns a table. */
export async function measureResumable(directory: string): Promise<string> {
  const server = await startServer(directory);
  try {
    const piece = randomBytes(PIECE);
    const rates = { tus: [] as number[], raw: [] as number[] };
    const cpu = { tus: [] as number[], raw: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, send] of [
        ['tus', sendPieces],
        ['raw', sendWhole],
      ] as const) {
        randomBytes(16).copy(piece); // otherwise the file would be a duplicate
        const before = cpuSeconds(pidsOf(server));
        const started = performance.now();
        await send(server, piece);
        rates[name].push((MEBIBYTES / (performance.now() - started)) * 1000);
        cpu[name].push(cpuSeconds(pidsOf(server)) - before);
      }
    }
    return markdownTable([
      ['work', 'reference', 'fidfs', 'CPU', 'reference', 'CPU', 'ratio'],
      [
        ...['1 GiB by tus, pieces of 8 MiB', 'one raw POST'],
        ...[withSpread(rates.tus, ' MiB/s'), `${withSpread(cpu.tus)} s`],
        ...[withSpread(rates.raw, ' MiB/s'), `${withSpread(cpu.raw)} s`],
        short(median(rates.tus.map((rate, round) => rate / (rates.raw[round] ?? Number.NaN)))),
      ],
    ]);
  } finally {
    await server.stop();
  }
}

async function ask(server: BenchServer, method: 'POST' | 'PATCH', path: string, options: object) {
  const { headers = {}, ...rest } = options as { headers?: Record<string, string> };
  const all = { authorization: `Bearer ${server.key}`, ...headers };
  const answer = await request(server.origin + path, { method, headers: all, ...rest });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
  return answer.headers;
}

async function sendPieces(server: BenchServer, piece: Buffer): Promise<void> {
  const version = { 'tus-resumable': '1.0.0' };
  const length = { 'upload-length': String(PIECE * PIECES) };
  const { location } = await ask(server, 'POST', '/tus/', { headers: { ...version, ...length } });
  for (let sent = 0; sent < PIECES; sent++) {
    const type = { 'content-type': 'application/offset+octet-stream', 'upload-offset': String(sent * PIECE) };
    await ask(server, 'PATCH', String(location), { headers: { ...version, ...type }, body: piece });
  }
}

async function sendWhole(server: BenchServer, piece: Buffer): Promise<void> {
  const body = (async function* () {
    for (let sent = 0; sent < PIECES; sent++) yield piece;
  })();
  const headers = { 'content-length': String(PIECE * PIECES) };
  await ask(server, 'POST', '/upload?ext=bin', { headers, body });
}
