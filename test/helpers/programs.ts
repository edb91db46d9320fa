import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Ended } from './node.js';

/** Runs a program to its end. */
export function run(program: string, words: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
    execFile(program, words, options, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

/** Why a test that needs these programs must be skipped; false when it need not. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  return absent.length > 0 && `not installed here: ${absent.join(', ')}`;
}

/** Why a test that starts a node as another user must be skipped; false when it need not. */
export function cannotRunAsOthers(): string | false {
  if (process.getuid?.() !== 0) return 'only root can start a node as somebody else';
  const project = fileURLToPath(new URL('../../../package.json', import.meta.url));
  const read = spawnSync('cat', [project], { uid: 65534, gid: 65534 });
  return read.status !== 0 && 'other users cannot read the directory of the project';
}
