// The release before this one, built from the history of this repository, to test upgrades from it.
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

/** Stands for the release before until there is a tag: the last commit before 0.2.0. */
const BEFORE_THE_FIRST_TAG = 'be8fdfa3ae4069e7a70b6006f9923cc881ee4fe5';

const RELEASES = join(root, 'var/releases');

/** What git prints; undefined when it fails, or is not there. */
function git(...words) {
  // A clone of another user's is read as well: what is run is its code all the same.
  const { status, stdout } = spawnSync('git', ['-c', 'safe.directory=*', ...words], { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** The newest tag of a version before HEAD's own, or what stands for it. */
function nameOfReleaseBefore() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const tags = git('tag', '--merged', 'HEAD', '--list', 'v*', '--sort=-v:refname')?.split('\n') ?? [];
  return tags.find((tag) => /^v\d+\.\d+\.\d+$/.test(tag) && tag !== `v${version}`) ?? BEFORE_THE_FIRST_TAG;
}

/** The packages of a lock file: where each lies, and which one it is. */
function packagesOf(directory) {
  const { packages } = JSON.parse(readFileSync(join(directory, 'package-lock.json'), 'utf8'));
  return new Map(Object.entries(packages).map(([path, { version, integrity }]) => [path, `${version} ${integrity}`]));
}

/** Whether the packages of this tree are those that another one wants. */
function hasPackagesOf(directory) {
  const here = packagesOf(root);
  return [...packagesOf(directory)].every(([path, wanted]) => path === '' || here.get(path) === wanted);
}

function run(directory, program, ...words) {
  process.stderr.write(`fidfs: ${directory}: ${[program, ...words].join(' ')}\n`);
  execFileSync(program, words, { cwd: directory, stdio: ['ignore', 2, 2] });
}

/**
 * Builds the release before, once, below var/releases/.
 * @returns where it lies, and what it is called; or why it cannot be had
 */
export function releaseBefore() {
  const name = nameOfReleaseBefore();
  // Of this project, not of a repository that it was unpacked in.
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
