import { execFile, execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cpuSeconds, forgetPeak, memoryOf } from './processes.js';
import type { BenchServer } from './server.js';
import { median, short, withSpread } from './table.js';

const run = promisify(execFile);
const MEBIBYTES = 1024;

async function timed(program: string, words: string[]): Promise<{ seconds: number; output: string }> {
  const started = process.hrtime.bigint();
  const { stdout } = await run(program, words);
  return { seconds: Number(process.hrtime.bigint() - started) / 1e9, output: stdout.trim() };
}

/** Measures a 1 GiB upload against `dd conv=fsync` of as much to the same disk. Returns table rows and the daemon's peak. */
export async function benchLarge(
  server: BenchServer,
  directory: string,
  rounds: number,
): Promise<{ rows: string[][]; peak: number }> {
  const source = '/dev/shm/fidfs-bench-source';
  execFileSync('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', `count=${MEBIBYTES}`], { stdio: 'ignore' });
  const copy = join(directory, 'dd-copy');
  const authorization = `Bearer ${server.key}`;
  const curl = ['-fsS', '-H', 'Expect:', '-H', 'Accept: text/plain', '-H', `Authorization: ${authorization}`];
  const works: Record<string, [string, string[]]> = {
    dd: ['dd', [`if=${source}`, `of=${copy}`, 'bs=1M', 'conv=fsync', 'status=none']],
    raw: ['curl', [...curl, '-T', source, `${server.origin}/upload?ext=bin`]],
    multipart: ['curl', [...curl, '-F', `file=@${source}`, `${server.origin}/upload`]],
  };
  forgetPeak(server.daemonPid);
  const rates: Record<string, number[]> = { dd: [], raw: [], multipart: [] };
  const cpu: Record<string, number[]> = { dd: [], raw: [], multipart: [] };
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [name, [program, words]] of Object.entries(works)) {
        rmSync(copy, { force: true });
        const before = cpuSeconds([server.daemonPid, server.workerPid]);
        const { seconds, output } = await timed(program, words);
        rates[name]?.push(MEBIBYTES / seconds);
        cpu[name]?.push(cpuSeconds([server.daemonPid, server.workerPid]) - before);
        if (output !== '') await fetch(`${server.origin}/${output}`, { method: 'DELETE', headers: { authorization } });
      }
    }
  } finally {
    rmSync(source, { force: true });
    rmSync(copy, { force: true });
  }
  const rows = ['raw', 'multipart'].map((name) => {
    const own = rates[name] ?? [];
    const reference = rates.dd ?? [];
    const ratio = median(own.map((rate, round) => rate / (reference[round] ?? Number.NaN)));
    return [
      `1 GiB ${name}`,
      'dd conv=fsync',
      ...[withSpread(own, ' MiB/s'), `${withSpread(cpu[name] ?? [])} s`],
      ...[withSpread(reference, ' MiB/s'), '', short(ratio)],
    ];
  });
  return { rows, peak: memoryOf(server.daemonPid, 'VmHWM') };
}
