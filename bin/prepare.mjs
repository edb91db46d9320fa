// Set-up from nothing: packages, build, nginx with njs. Node's own modules only: nothing is installed yet.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SOURCES = ['file-id', 'njs', 'nginx', 'daemon', 'console', 'bench', 'test'];

function say(text) {
  process.stderr.write(`fidfs: ${text}\n`);
}

function run(program, ...args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['inherit', 2, 2] });
  if (error) throw error;
  if (status !== 0) throw new Error(`"${[program, ...args].join(' ')}" failed; its own words are above`);
}

function modified(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

/** Installs the npm packages when package-lock.json is newer than what is there. */
function installPackages() {
  if (modified(join(root, 'node_modules/.package-lock.json')) >= modified(join(root, 'package-lock.json'))) return;
  say('installing npm packages (once; a minute or two)');
  run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
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

/** Compiles when a source is newer than the last build. */
export function build() {
  const stamp = join(root, 'dist/.built');
  const settings = ['tsconfig.json', 'njs/tsconfig.json', 'package-lock.json'].map((file) =>
    modified(join(root, file)),
  );
  if (modified(stamp) > Math.max(...SOURCES.map(newest), ...settings)) return;
  say('building (once after each change of the sources; half a minute or so)');
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  run(process.execPath, tsc);
  run(process.execPath, tsc, '-p', 'njs');
  run(process.execPath, tsc, '-p', 'console');
  const vite = join(root, 'node_modules/vite/bin/vite.js');
  run(process.execPath, vite, 'build', join(root, 'console'), '--config', join(root, 'console/vite.config.ts'));
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, '');
}

/** Packages that hold nginx and njs, by package manager. */
const SYSTEMS = [
  {
    program: 'apt-get',
    install: 'apt-get update -q && apt-get install -y -q --no-install-recommends nginx libnginx-mod-http-js',
  },
  { program: 'apk', install: 'apk add nginx nginx-mod-http-js' },
];

function exists(program) {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

/**
 * The system's nginx package starts an nginx of its own on port 80 and at every boot. Debian's answer to the first is
 * a policy-rc.d that forbids it, for the time of the installation.
 */
function withoutService(install) {
  return `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod 755 $policy; trap 'rm -f $policy' EXIT; fi
${install}
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then systemctl disable nginx || true; fi`;
}

/** Installs nginx and njs with the system's package manager when one of them is missing. */
async function installNginx() {
  const { findNginx } = await import('../dist/nginx/programs.js');
  if (findNginx()) return;
  const system = SYSTEMS.find(({ program }) => exists(program));
  if (!system) {
    throw new Error(
      'nginx 1.22 or later with njs 0.7.9 or later is missing; install both (see nginx.org/en/linux_packages.html) and start again',
    );
  }
  const isRoot = process.getuid() === 0;
  const canSudo = !isRoot && exists('sudo') && (process.stdin.isTTY || spawnSync('sudo', ['-n', 'true']).status === 0);
  if (!isRoot && !canSudo) {
    throw new Error(`nginx or its njs module is missing; run this as root, then start again:\n  ${system.install}`);
  }
  say(`installing nginx and njs: ${system.install}`);
  say("(the system's own nginx service is neither started nor enabled)");
  const script = withoutService(system.install);
  run(...(isRoot ? ['sh', '-c', script] : ['sudo', 'sh', '-c', script]));
  if (!findNginx())
    throw new Error("nginx is installed, but njs is not found; install nginx's njs module and start again");
}

/** Everything that a start or a test needs. */
export async function prepare() {
  installPackages();
  build();
  await installNginx();
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

export { root };
