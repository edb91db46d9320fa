// Sets up a clone: npm packages, build, nginx with njs. Imports Node's modules only, because nothing is installed yet.
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { checkAddons } from './addons.mjs';
import { installNginx } from './nginx.mjs';
import { orExit, root, run, say } from './run.mjs';

const SOURCES = ['file-id', 'njs', 'nginx', 'daemon', 'console', 'bench', 'test', 'clients/js/src'];

function modified(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

/** Installs the npm packages if package-lock.json is newer than the installed ones. */
function installPackages() {
  if (modified(join(root, 'node_modules/.package-lock.json')) >= modified(join(root, 'package-lock.json'))) return;
  say('installing npm packages (once; a minute or two, more where an addon is compiled)');
  // The compiler is a development package; npm leaves those out if NODE_ENV is "production".
  run('npm', 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error');
}

function newest(directory) {
  const entries = readdirSync(join(root, directory), { withFileTypes: true });
  return Math.max(
    ...entries.map((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? newest(path) : modified(join(root, path));
    }),
    0,
  );
}

/** Removes compiled files without a source: a renamed test would run twice, and be packed. */
function removeStale() {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) return;
  const ours = SOURCES.filter((directory) => directory !== 'console').map((directory) => `${directory}/`);
  for (const file of readdirSync(dist, { recursive: true })) {
    const source = file.replace(/^njs\//, '').replace(/\.js(\.map)?$/, '.ts');
    const isCompiled = source.endsWith('.ts') && ours.some((directory) => file.startsWith(directory));
    if (isCompiled && !existsSync(join(root, source))) rmSync(join(dist, file));
  }
}

/** Compiles if a source is newer than the last build. */
export function build() {
  const stamp = join(root, 'dist/.built');
  const others = [
    ...['tsconfig.json', 'njs/tsconfig.json', 'clients/js/tsconfig.json', 'package-lock.json'],
    ...['docs/openapi.yaml', 'bin/description.mjs'],
  ];
  const settings = others.map((file) => modified(join(root, file)));
  if (modified(stamp) > Math.max(...SOURCES.map(newest), ...settings)) return;
  say('building (once after each change of the sources; half a minute or so)');
  removeStale();
  // A package of its own, which holds all that is there.
  rmSync(join(root, 'clients/js/dist'), { recursive: true, force: true });
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  // First, because the page and the tests import its types.
  run(process.execPath, tsc, '-p', 'clients/js');
  run(process.execPath, tsc);
  run(process.execPath, tsc, '-p', 'njs');
  run(process.execPath, tsc, '-p', 'console');
  const vite = join(root, 'node_modules/vite/bin/vite.js');
  run(process.execPath, join(root, 'bin/description.mjs'));
  run(process.execPath, vite, 'build', join(root, 'console'), '--config', join(root, 'console/vite.config.ts'));
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, '');
}

/** Sets up everything that a start or a test needs. */
export async function prepare() {
  installPackages();
  await checkAddons();
  build();
  await installNginx();
}

export { orExit, root };
