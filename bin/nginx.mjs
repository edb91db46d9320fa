// Installs nginx with njs from the system's packages if a start finds none.
import { spawnSync } from 'node:child_process';
import { exists, run, say } from './run.mjs';

/** Packages with nginx and njs, by package manager. */
const SYSTEMS = [
  {
    program: 'apt-get',
    install: 'apt-get update -q && apt-get install -y -q --no-install-recommends nginx libnginx-mod-http-js',
  },
  { program: 'apk', install: 'apk add nginx nginx-mod-http-js' },
];

/**
 * Prevents the nginx package from starting nginx on port 80, now and at boot. On Debian a policy-rc.d prevents the start during
 * the installation.
 */
function withoutService(install) {
  return `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod 755 $policy; trap 'rm -f $policy' EXIT; fi
${install}
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then systemctl disable nginx || true; fi`;
}

/** Installs nginx and njs with the system's package manager if one of them is missing. */
export async function installNginx() {
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
