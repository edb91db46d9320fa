import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { childrenOf, cpuSeconds, reapedCpuSeconds } from './processes.js';
import { type BenchServer, startServer } from './server.js';
import { median, short, withSpread } from './table.js';
import { getScript, interleave, type Load, ratio } from './wrk.js';

const PRESETS = JSON.stringify({ inside: { width: 320, height: 320, fit: 'inside', quality: 80 } });
const ROUNDS = 5;
/** Pictures of each round of first pictures. */
const FIRST = 10;
const KEPT = 200;

/** A JPEG with the details of a photograph. */
async function photograph(width: number, height: number, seed: number): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
  const coarse = await sharp({ create: { width: 400, height: 300, channels: 3, background: '#888', noise } })
    .tint({ r: 60 + seed, g: 120, b: 200 - seed })
    .png()
    .toBuffer();
  return sharp(coarse).resize(width, height, { fit: 'fill' }).jpeg({ quality: 90 }).toBuffer();
}

async function upload({ origin, key }: BenchServer, body: Buffer, extension: string): Promise<string> {
  const headers = { authorization: `Bearer ${key}`, accept: 'text/plain' };
  const answer = await fetch(`${origin}/upload?ext=${extension}`, {
    method: 'POST',
    headers,
    body: new Uint8Array(body),
  });
  if (answer.status !== 201) throw new Error(`upload: ${answer.status}`);
  return (await answer.text()).trim();
}

async function picture({ origin }: BenchServer, id: string): Promise<Buffer> {
  const answer = await fetch(`${origin}/picture/inside/${id}`, { headers: { accept: 'image/webp' } });
  if (answer.status !== 200) throw new Error(`picture: ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

/** Pictures from nginx's cache against files of that size. */
async function keptRow(server: BenchServer, directory: string): Promise<string[]> {
  const paths: Record<'pictures' | 'files', string[]> = { pictures: [], files: [] };
  let size = 0;
  for (let number = 0; number < KEPT; number++) {
    const id = await upload(server, await photograph(640, 480, number % 60), 'jpg');
    const made = await picture(server, id);
    size += made.length / KEPT;
    paths.pictures.push(`/picture/inside/${id}`);
    paths.files.push(`/${await upload(server, made, 'webp')}`);
  }
  const load = (name: 'pictures' | 'files'): Load => ({
    ...{ origin: server.origin, connections: 64, seconds: 2, pids: [server.workerPid] },
    script: `${getScript(directory, name, paths[name])}`,
  });
  // wrk sends no Accept; the first round makes the JPEGs.
  const runs = await interleave({ pictures: load('pictures'), files: load('files') }, ROUNDS);
  const columns = [runs.pictures, runs.files].flatMap((some) => [
    withSpread(some.map(({ rate }) => rate)),
    withSpread(some.map(({ cpu }) => cpu)),
  ]);
  return [
    `picture from the cache, ${short(size / 1000)} KB`,
    'GET of a file of that size',
    ...columns,
    short(ratio(runs.pictures, runs.files)),
  ];
}

/** First pictures of 12 megapixels against vipsthumbnail of the same, in CPU. */
async function firstRow(server: BenchServer, directory: string): Promise<string[]> {
  const own: number[] = [];
  const reference: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const ids: string[] = [];
    const files: string[] = [];
    for (let number = 0; number < FIRST; number++) {
      const original = await photograph(4000, 3000, (round * FIRST + number) % 60);
      ids.push(await upload(server, original, 'jpg'));
      const file = join(directory, `${number}.jpg`);
      writeFileSync(file, original);
      files.push(file);
    }
    // Starts the process that makes them.
    await picture(server, await upload(server, await photograph(90, 90, round), 'jpg'));
    const pids = [server.workerPid, server.daemonPid, ...childrenOf(server.daemonPid)];
    const before = cpuSeconds(pids);
    for (const id of ids) await picture(server, id);
    own.push(((cpuSeconds(pids) - before) / FIRST) * 1000);
    const reaped = reapedCpuSeconds(process.pid);
    for (const file of files) {
      const words = [file, '--size', '320x320', '-o', `${file}.webp[Q=80,strip]`];
      execFileSync('vipsthumbnail', words, { env: { ...process.env, VIPS_CONCURRENCY: '1' } });
    }
    reference.push(((reapedCpuSeconds(process.pid) - reaped) / FIRST) * 1000);
  }
  const quotient = median(own.map((cpu, round) => cpu / (reference[round] ?? Number.NaN)));
  const columns = ['', withSpread(own, ' ms'), '', withSpread(reference, ' ms'), `${short(quotient)} times the CPU`];
  return ['first picture of a 12 megapixel JPEG, 320 px, WebP', '`vipsthumbnail` of the same', ...columns];
}

/** Measures pictures. Returns table rows: work, reference, rate, CPU, rate and CPU of the reference, ratio. */
export async function benchPictures(directory: string): Promise<string[][]> {
  mkdirSync(directory, { recursive: true });
  const server = await startServer(directory, { FIDFS_PICTURES: PRESETS, FIDFS_PICTURE_PROCESSES: '1' });
  try {
    return [await keptRow(server, directory), await firstRow(server, directory)];
  } finally {
    await server.stop();
  }
}
