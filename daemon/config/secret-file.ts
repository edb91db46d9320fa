import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Replaces a file, readable by its owner only (mode 0600). It is renamed when it is on stable storage: a crash leaves the old or the
 * new one. Throws the error of the system; the old file is then unchanged.
 */
export function writeSecretFile(path: string, text: string): void {
  const next = `${path}.new`;
  // One that a crash has left would keep its mode.
  rmSync(next, { force: true });
  try {
    const file = openSync(next, 'wx', 0o600);
    try {
      // On a full disk writeSync returns a short count without an error.
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
