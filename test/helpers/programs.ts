import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { Ended } from './node.js';

/** Runs a program to its end. */
export function run(program: string, words: string[], env: Record<string, string> = {}, cwd?: string): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 2 ** 26, cwd };
    execFile(program, words, options, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

/** Runs a process until the end of the test; prints its output if the test fails. */
export function runFor(t: Test, program: string, words: string[], env: Record<string, string> = {}): void {
  const child = spawn(program, words, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk;
  };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', collect);
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }
    if (!t.passing()) t.comment(`${program} ${words}:\n${output.slice(-5000)}`);
  });
}

/** Reason to skip a test that needs these programs; false if all are installed. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  return absent.length > 0 && `not installed here: ${absent.join(', ')}`;
}

/** Reason to skip a test that starts a node as another user; false if that is possible. */
export function cannotRunAsOthers(): string | false {
  if (process.getuid?.() !== 0) return 'only root can start a node as somebody else';
  const project = fileURLToPath(new URL('../../../package.json', import.meta.url));
  const read = spawnSync('cat', [project], { uid: 65534, gid: 65534 });
  return read.status !== 0 && 'other users cannot read the directory of the project';
}
