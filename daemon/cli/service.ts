import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadSettings, type Settings } from '../config/settings.js';
import { CommandFailed } from './errors.js';
import { print } from './output.js';
import type { Owner } from './owner.js';
import { newSettings, SETTINGS_FILE, serviceUnit, USER } from './service-unit.js';

const UNIT_FILE = '/etc/systemd/system/fidfs.service';
/** The unit file of the Debian package. */
const PACKAGED_UNIT_FILE = '/usr/lib/systemd/system/fidfs.service';

/** `fidfs service install` and `fidfs service remove`. Throws CommandFailed. */
export function service(action: 'install' | 'remove'): void {
  if (process.getuid?.() !== 0) throw new CommandFailed(`service ${action} needs root: sudo fidfs service ${action}`);
  // sd_booted(3)
  if (!existsSync('/run/systemd/system')) {
    throw new CommandFailed(
      `service ${action} needs systemd, which is not the init system of this machine; have its own supervisor run "fidfs start", which stays in the foreground`,
    );
  }
  if (existsSync(PACKAGED_UNIT_FILE)) {
    throw new CommandFailed(`${PACKAGED_UNIT_FILE} is the Debian package's; use systemctl, or "apt remove fidfs"`);
  }
  if (action === 'install') install();
  else remove();
}

/** Each step prints what it did, and changes nothing that is already in place. */
function install(): void {
  const user = makeUser();
  checkProgram(user);
  makeSettings(user);
  const settings = loadSettings(SETTINGS_FILE, {});
  makeDirectories(settings, user);
  const isChanged = writeUnit(serviceUnit({ data: settings.data, storePaths: settings.storePaths }));
  if (isChanged) call('systemctl', 'daemon-reload');
  call('systemctl', 'enable', '--quiet', 'fidfs');
  call('systemctl', isChanged ? 'restart' : 'start', 'fidfs');
  print(`the service runs, and starts with the machine: systemctl status fidfs, journalctl -u fidfs\n`);
  print(`its settings are in ${SETTINGS_FILE}; "systemctl restart fidfs" after a change\n`);
}

function remove(): void {
  if (!existsSync(UNIT_FILE)) {
    print(`nothing to remove: there is no ${UNIT_FILE}\n`);
    return;
  }
  const { data } = loadSettings(SETTINGS_FILE, {});
  call('systemctl', 'disable', '--quiet', '--now', 'fidfs');
  rmSync(UNIT_FILE);
  call('systemctl', 'daemon-reload');
  print(`stopped the service and removed ${UNIT_FILE}\n`);
  print(`kept: ${data} with all files, ${SETTINGS_FILE} and the user ${USER}\n`);
}

/** Runs a program of the system, with its output on standard error. Throws CommandFailed if it fails. */
function call(program: string, ...words: string[]): void {
  const { status, error } = spawnSync(program, words, { stdio: ['ignore', 2, 2] });
  if (error || status !== 0) {
    const reason = error?.message ?? 'its own words are above';
    throw new CommandFailed(`"${[program, ...words].join(' ')}" failed: ${reason}`, error && { cause: error });
  }
}

function idOf(option: '-u' | '-g'): number | undefined {
  const { status, stdout } = spawnSync('id', [option, USER], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return status === 0 ? Number(stdout) : undefined;
}

function makeUser(): Owner {
  if (idOf('-u') === undefined) {
    call(
      'useradd',
      '--system',
      '--user-group',
      '--no-create-home',
      '--home-dir',
      '/',
      '--shell',
      '/usr/sbin/nologin',
      USER,
    );
    print(`made the system user ${USER}\n`);
  }
  const [uid, gid] = [idOf('-u'), idOf('-g')];
  if (uid === undefined || gid === undefined) throw new CommandFailed(`there is no user ${USER}, though it was made`);
  return { uid, gid };
}

/**
 * Throws CommandFailed unless the service's user can run the program and Node; home directories are often closed to other
 * users.
 */
function checkProgram(user: Owner): void {
  const program = process.argv[1] ?? '';
  const options: SpawnSyncOptions = { ...user, cwd: '/', env: {}, stdio: 'ignore' };
  const { status, error } = spawnSync(process.execPath, [program, '--version'], options);
  if (error || status !== 0) {
    throw new CommandFailed(
      `user ${USER} cannot run ${process.execPath} ${program}: install Node and fidfs where every user can read them, such as /usr/local`,
    );
  }
}

function makeSettings({ gid }: Owner): void {
  if (existsSync(SETTINGS_FILE)) return;
  mkdirSync(dirname(SETTINGS_FILE), { recursive: true, mode: 0o755 });
  // The file may contain secrets; the service reads it through its group.
  writeFileSync(SETTINGS_FILE, newSettings(), { mode: 0o640 });
  chownSync(SETTINGS_FILE, 0, gid);
  print(`wrote ${SETTINGS_FILE}\n`);
}

/**
 * Creates the missing directories of the settings, owned by the service's user. Throws CommandFailed for one of another
 * owner.
 */
function makeDirectories({ data, storePaths }: Settings, { uid, gid }: Owner): void {
  for (const directory of [data, ...storePaths.filter((path) => !path.startsWith(`${data}/`))]) {
    if (existsSync(directory)) {
      if (statSync(directory).uid === uid) continue;
      throw new CommandFailed(
        `${directory} belongs to another user than ${USER}; if it is meant for this node: chown -R ${USER}: ${directory}`,
      );
    }
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o700);
    chownSync(directory, uid, gid);
    print(`made ${directory}, which only ${USER} can read\n`);
  }
}

/** Writes the unit file if its text differs; returns whether it did. */
function writeUnit(text: string): boolean {
  if (existsSync(UNIT_FILE) && readFileSync(UNIT_FILE, 'utf8') === text) return false;
  writeFileSync(UNIT_FILE, text, { mode: 0o644 });
  print(`wrote ${UNIT_FILE}\n`);
  return true;
}
