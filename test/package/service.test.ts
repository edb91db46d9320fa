import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { newSettings, serviceUnit } from '../../daemon/cli/service-unit.js';
import { LONGEST_STOP_SECONDS } from '../../daemon/cli/start.js';
import { loadSettings } from '../../daemon/config/settings.js';
import { cannotRunAsOthers, missing, run } from '../helpers/programs.js';

const COMMAND = fileURLToPath(new URL('../../../bin/fidfs.mjs', import.meta.url));

// Seen to fail with TimeoutStopSec=50, and with a misspelt directive.
t.test(
  'systemd accepts the unit, whose timeout covers the longest stop',
  {
    skip: missing('systemd-analyze'),
  },
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'fidfs-unit-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const unit = serviceUnit({ storePaths: ['/disk1/fidfs', '/disk2/fidfs'] });
    const file = join(directory, 'fidfs.service');
    writeFileSync(file, unit);
    t.strictSame(await run('systemd-analyze', ['verify', file]), { status: 0, stdout: '', stderr: '' });
    t.match(unit, 'RequiresMountsFor=/var/lib/fidfs /disk1/fidfs /disk2/fidfs\n');
    t.match(unit, `ExecStart=${process.execPath} ${COMMAND} start\n`);
    t.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) > LONGEST_STOP_SECONDS);
  },
);

t.test('a path that a unit cannot contain is refused', async (t) => {
  t.throws(() => serviceUnit({ data: '/srv/my files' }), {
    message: '/srv/my files: a systemd unit cannot name a path with " "',
  });
  t.throws(() => serviceUnit({ root: '/opt/100%' }), { message: 'a path with "%"' });
});

t.test('the initial settings of a service are valid', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-settings-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'fidfs.json');
  writeFileSync(file, newSettings());
  t.match(loadSettings(file, {}), { data: '/var/lib/fidfs', listen: { host: '127.0.0.1', port: 8080 } });
});

t.test('without root it is refused', { skip: cannotRunAsOthers() }, async (t) => {
  for (const action of ['install', 'remove']) {
    const words = ['--reuid=65534', '--regid=65534', '--clear-groups', '-u', 'NODE_OPTIONS'];
    const refused = await run('setpriv', [
      ...words.slice(0, 3),
      'env',
      ...words.slice(3),
      process.execPath,
      COMMAND,
      'service',
      action,
    ]);
    t.strictSame(refused, {
      status: 1,
      stdout: '',
      stderr: `fidfs: service ${action} needs root: sudo fidfs service ${action}\n`,
    });
  }
});

const skip =
  process.getuid?.() !== 0 ? 'only root gets so far' : existsSync('/run/systemd/system') && 'systemd runs here';
t.test('without systemd it is refused', { skip }, async (t) => {
  const refused = await run(process.execPath, [COMMAND, 'service', 'install']);
  t.match(refused, {
    status: 1,
    stdout: '',
    stderr: 'fidfs: service install needs systemd, which is not the init system of this machine',
  });
});
