// Functions shared by the programs of this directory. Imports Node's modules only, because nothing may be installed yet.
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Path of the project, or of the installed package. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function say(text) {
  process.stderr.write(`fidfs: ${text}\n`);
}

/** Runs a program in the project's directory, with its output on standard error; throws an Error if it fails. */
export function run(program, ...args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['inherit', 2, 2] });
  if (error) throw error;
  if (status !== 0) throw new Error(`"${[program, ...args].join(' ')}" failed; its output is above`);
}

/** Whether a program is in PATH. */
export function exists(program) {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

/** Runs `action`; prints an error as one line, and sets the exit status. */
export async function orExit(action) {
  try {
    await action();
  } catch (error) {
    say(error.message);
    process.exit(1);
  }
}
