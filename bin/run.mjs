// What the programs of this directory share. Node's own modules only: nothing may be installed yet.
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's directory, or that of the installed package. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function say(text) {
  process.stderr.write(`fidfs: ${text}\n`);
}

/** Runs a program in the project's directory, its output on standard error; throws when it fails. */
export function run(program, ...args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['inherit', 2, 2] });
  if (error) throw error;
  if (status !== 0) throw new Error(`"${[program, ...args].join(' ')}" failed; its own words are above`);
}

/** Whether the shell finds a program. */
export function exists(program) {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

/** Runs and reports a failure in one line, as a command does. */
export async function orExit(action) {
  try {
    await action();
  } catch (error) {
    say(error.message);
    process.exit(1);
  }
}
