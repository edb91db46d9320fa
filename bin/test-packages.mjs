// The Debian package and the service on a Debian machine: npm run test:packages [-- --tree DIRECTORY --before FILE.deb]
// Makes a tree of Debian 13 by debootstrap (kept, and taken again), boots it with systemd in namespaces, and there installs, uses,
// upgrades, reboots, removes and purges the package, and then installs and removes the service of "fidfs service". The version
// before is that of --before, or this one under a lower number. Needs root, debootstrap, a network for the tree, and the major version of Node that Debian 13 has (20).
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assemble } from './assemble.mjs';
import { packageDeb } from './package-deb.mjs';
import { exists, orExit, root, run, say } from './run.mjs';

const BASE = 'ca-certificates,curl,procps,systemd,systemd-sysv,dbus';
const PACKAGES = 'nodejs nginx libnginx-mod-http-js logrotate';
const APT = 'apt-get -y -qq -o Dpkg::Use-Pty=0';
const SECONDS = 60;
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
  DEBIAN_FRONTEND: 'noninteractive',
  LANG: 'C.UTF-8',
};

/** A tree of Debian with what the package depends on; services are neither started nor needed while it is made. */
function makeTree(tree) {
  const complete = join(tree, '.complete');
  if (existsSync(complete)) return;
  if (!exists('debootstrap')) throw new Error('debootstrap is missing; install it: apt-get install debootstrap');
  say(`making a tree of Debian 13 in ${tree} (once; some minutes)`);
  rmSync(tree, { recursive: true, force: true });
  run('debootstrap', '--variant=minbase', `--include=${BASE}`, 'trixie', tree);
  copyFileSync('/etc/resolv.conf', join(tree, 'etc/resolv.conf'));
  const policy = join(tree, 'usr/sbin/policy-rc.d');
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const install = `export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -y -q --no-install-recommends ${PACKAGES}`;
  run('unshare', '--mount', 'sh', '-c', `mount -t proc proc "$0/proc" && chroot "$0" sh -c '${install}'`, tree);
  rmSync(policy);
  writeFileSync(complete, '');
}

/** Children of a process. */
function childrenOf(pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** A machine with systemd, whose disk is an overlay over the tree. It has a loopback network of its own and no other. */
class Machine {
  constructor(tree, scratch) {
    this.tree = tree;
    this.scratch = scratch;
  }

  async boot() {
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--uts', '--ipc', '--cgroup', '--net'];
    const boot = join(root, 'test/package/boot.sh');
    this.process = spawn('unshare', [...namespaces, 'sh', boot, this.tree, this.scratch], { stdio: ['ignore', 2, 2] });
    this.ended = once(this.process, 'exit');
    await until('booted', () => /running|degraded/.test(this.try('systemctl is-system-running').output));
  }

  /** Orderly, as by its switch: the services are stopped. */
  async powerOff() {
    this.try('systemctl poweroff');
    await this.ended;
  }

  get init() {
    return childrenOf(this.process.pid)[0];
  }

  try(script) {
    const words = [
      '-t',
      String(this.init),
      '--all',
      '--',
      'env',
      '-i',
      ...Object.entries(ENVIRONMENT).map(([name, text]) => `${name}=${text}`),
    ];
    try {
      const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
      return {
        isDone: true,
        output: execFileSync('nsenter', [...words, 'sh', '-c', `exec 2>&1; set -e; ${script}`], options).trim(),
      };
    } catch (error) {
      return {
        isDone: false,
        output: `${error.stdout ?? ''}${error.stderr ?? ''}${error.stdout === undefined ? error.message : ''}`.trim(),
      };
    }
  }

  /** Runs a script of sh, shows it with what it says, and fails with it. */
  sh(script) {
    const { isDone, output } = this.try(script);
    process.stdout.write(`# ${script}\n${output && `${output}\n`}`);
    if (!isDone) throw new Error(`"${script}" failed on the machine`);
    return output;
  }

  /** Puts a file or a directory of this machine on that one. */
  put(from, to) {
    const tar = execFileSync('tar', ['-cf', '-', '-C', join(from, '..'), basename(from)], { maxBuffer: 2 ** 30 });
    execFileSync(
      'nsenter',
      ['-t', String(this.init), '--all', '--', '/bin/sh', '-c', `mkdir -p ${to} && tar -xf - -C ${to} --no-same-owner`],
      { input: tar },
    );
  }
}

async function until(what, condition) {
  const end = Date.now() + SECONDS * 1000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not ${what} within ${SECONDS} seconds`);
    await sleep(200);
  }
}

function expect(what, isSo) {
  if (!isSo) throw new Error(`not so: ${what}`);
  process.stdout.write(`ok: ${what}\n`);
}

const READY = 'curl -fsS http://127.0.0.1:8080/readyz';

function ready(machine) {
  return until('ready', () => machine.try(READY).isDone);
}

/** Uploads a file by the command and reads it back; returns how to read it again. */
function storeFile(machine, fidfs) {
  const id = machine.sh(`echo kept > /root/file.txt; ${fidfs} upload /root/file.txt`);
  return () => expect('the file is served', machine.sh(`curl -fsS http://127.0.0.1:8080/${id}`) === 'kept');
}

async function checkService(machine, fidfs) {
  const read = storeFile(machine, fidfs);
  read();
  const key = machine.try(`${fidfs} key`).output;
  expect('the key is not in the journal', key.length > 15 && !machine.try('journalctl -u fidfs').output.includes(key));
  const of = (name) => machine.try(`systemctl show -P ${name} fidfs`).output;
  const members = `cat /sys/fs/cgroup${of('ControlGroup')}/cgroup.procs`;
  expect('all processes are those of its user', machine.sh(`ps -o user= -p $(${members}) | sort -u`) === 'fidfs');
  const pid = of('MainPID');
  machine.sh(`kill -9 ${pid}`);
  await until('started again', () => of('MainPID') !== pid && of('MainPID') !== '0' && machine.try(READY).isDone);
  read();
  await machine.powerOff();
  await machine.boot();
  await ready(machine);
  expect('it starts with the machine', of('ActiveState') === 'active');
  read();
  machine.sh('systemctl stop fidfs');
  expect('it stops cleanly', of('Result') === 'success' && machine.try('pgrep -u fidfs .').output === '');
  machine.sh('systemctl start fidfs');
  await ready(machine);
  return read;
}

async function testDebianPackage(machine, before, now) {
  for (const file of [before, now]) machine.put(file, '/root');
  machine.sh(`${APT} install /root/${basename(before)}`);
  await ready(machine);
  const read = await checkService(machine, 'fidfs');
  machine.sh(`sed -i 's/8080"/8080",\\n  "maxFileSize": "1GiB"/' /etc/fidfs/fidfs.json`);
  machine.sh(`${APT} install /root/${basename(now)}`);
  await ready(machine);
  read();
  expect(
    'the settings are kept',
    machine.sh('stat -c "%a %U:%G" /etc/fidfs/fidfs.json; cat /etc/fidfs/fidfs.json').includes('1GiB'),
  );
  machine.sh('fidfs status');
  machine.sh('logrotate --force /etc/logrotate.d/fidfs && ls /var/lib/fidfs/log');
  read();
  await until('written anew', () => machine.try('cat /var/lib/fidfs/log/access.log').output.includes('/group1/'));
  machine.sh(`${APT} remove fidfs; ls -d /var/lib/fidfs/store0 /etc/fidfs/fidfs.json`);
  expect(
    'the service has stopped',
    !machine.try('systemctl is-active fidfs').isDone && machine.try('pgrep -u fidfs .').output === '',
  );
  machine.sh(`${APT} install /root/${basename(now)}`);
  await ready(machine);
  read();
  machine.sh(`${APT} purge fidfs`);
  expect(
    'purge keeps the files and removes the settings',
    machine.try('test -d /var/lib/fidfs/store0/data && test ! -e /etc/fidfs').isDone,
  );
  expect('dpkg has nothing to say', machine.sh('dpkg --audit') === '');
}

async function testService(machine, installed) {
  const fidfs = 'FIDFS_CONFIG=/etc/fidfs/fidfs.json fidfs';
  machine.sh('userdel fidfs; rm -rf /var/lib/fidfs');
  machine.put(installed, '/usr/local/lib');
  machine.sh('ln -s ../lib/fidfs/bin/fidfs.mjs /usr/local/bin/fidfs; fidfs service install');
  await ready(machine);
  const again = machine.sh('fidfs service install');
  expect('a second time does nothing', !/made|wrote/.test(again));
  expect('the unit is valid', machine.sh('systemd-analyze verify fidfs.service') === '');
  await checkService(machine, fidfs);
  machine.sh('fidfs service remove');
  machine.sh('fidfs service remove; ls -d /var/lib/fidfs/store0 /etc/fidfs/fidfs.json; ! systemctl cat fidfs');
}

async function main() {
  const tree = { type: 'string', default: join(tmpdir(), 'fidfs-debian-trixie') };
  const { values } = parseArgs({ options: { tree, before: { type: 'string' } } });
  if (process.getuid() !== 0) throw new Error('namespaces and mounts need root');
  makeTree(values.tree);
  const scratch = mkdtempSync(join(tmpdir(), 'fidfs-machine-'));
  const machine = new Machine(values.tree, join(scratch, 'machine'));
  mkdirSync(machine.scratch);
  try {
    const now = await packageDeb(scratch, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version);
    const before = values.before ?? (await packageDeb(scratch, '0.0.1'));
    assemble(join(scratch, 'fidfs'));
    await machine.boot();
    await testDebianPackage(machine, before, now);
    await testService(machine, join(scratch, 'fidfs'));
    process.stdout.write('All of it works.\n');
  } catch (error) {
    process.stderr.write(`${machine.try('journalctl -u fidfs -n 40 --no-pager').output}\n`);
    throw error;
  } finally {
    machine.process?.kill('SIGKILL');
    await machine.ended;
    rmSync(scratch, { recursive: true, force: true });
  }
}

await orExit(main);
