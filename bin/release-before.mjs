// Builds the previous release from the history of this repository, to test upgrades from it.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { root } from './prepare.mjs';

/** Used as the previous release while there is no tag: the last commit before 0.2.0. */
const BEFORE_THE_FIRST_TAG = 'be8fdfa3ae4069e7a70b6006f9923cc881ee4fe5';

const RELEASES = join(root, 'var/releases');

/** Returns git's output; undefined if it fails or is not installed. */
function git(...words) {
  // Also reads another user's clone; that check of git is no protection here, because the clone's code runs anyway.
  const { status, stdout } = spawnSync('git', ['-c', 'safe.directory=*', ...words], { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** Returns the newest version tag before HEAD, or else `BEFORE_THE_FIRST_TAG`. */
function nameOfReleaseBefore() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const tags = git('tag', '--merged', 'HEAD', '--list', 'v*', '--sort=-v:refname')?.split('\n') ?? [];
  return tags.find((tag) => /^v\d+\.\d+\.\d+$/.test(tag) && tag !== `v${version}`) ?? BEFORE_THE_FIRST_TAG;
}

/** Returns the packages of a lock file: path and version of each. */
function packagesOf(directory) {
  const { packages } = JSON.parse(readFileSync(join(directory, 'package-lock.json'), 'utf8'));
  return new Map(Object.entries(packages).map(([path, { version, integrity }]) => [path, `${version} ${integrity}`]));
}

/** Whether the installed packages of this tree match the lock file of another tree. */
function hasPackagesOf(directory) {
  const here = packagesOf(root);
  return [...packagesOf(directory)].every(([path, wanted]) => path === '' || here.get(path) === wanted);
}

function run(directory, program, ...words) {
  process.stderr.write(`fidfs: ${directory}: ${[program, ...words].join(' ')}\n`);
  execFileSync(program, words, { cwd: directory, stdio: ['ignore', 2, 2] });
}

/**
 * Builds the previous release below var/releases/, unless it was built before.
 * @returns its directory and its name; or the reason why it cannot be built
 */
export function releaseBefore() {
  const name = nameOfReleaseBefore();
  // The repository must be this project's, not one in whose directory it was unpacked.
  const isOwn = git('rev-parse', '--show-toplevel') === realpathSync(root);
  const commit = isOwn ? git('rev-parse', '--verify', '--quiet', `${name}^{commit}`) : undefined;
  if (commit === undefined) {
    return { reason: `${name}, the release before, is not in the history here (a shallow clone, or no clone)` };
  }
  const directory = join(RELEASES, commit);
  if (existsSync(directory)) return { name, directory };
  mkdirSync(RELEASES, { recursive: true });
  const fresh = mkdtempSync(join(RELEASES, 'new-'));
  try {
    const archive = join(fresh, 'archive.tar');
    execFileSync('git', ['-c', 'safe.directory=*', 'archive', `--output=${archive}`, commit], { cwd: root });
    execFileSync('tar', ['-xf', archive, '-C', fresh]);
    rmSync(archive);
    if (hasPackagesOf(fresh)) symlinkSync(join(root, 'node_modules'), join(fresh, 'node_modules'));
    else run(fresh, 'npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline');
    run(fresh, 'npm', 'run', '--silent', 'build');
    renameSync(fresh, directory);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw error;
  }
  return { name, directory };
}
