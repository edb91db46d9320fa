import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { canSyncFileSystems, realCalls } from '../../daemon/store/calls.js';
import { FileSystem } from '../../daemon/store/file-system.js';
import { cannotMount, makeImage, mountImage, scratch } from '../helpers/mounts.js';

const skip = cannotMount() || (canSyncFileSystems ? false : 'needs Linux 5.8, whose syncfs reports errors');

// Seen to fail (the sync succeeds) without isReadOnly in daemon/store/calls.ts.
t.test('nothing counts as durable on a file system that has become read-only', { skip }, async (t) => {
  const directory = scratch(t);
  makeImage(join(directory, 'image'), 16);
  const point = mountImage(t, join(directory, 'image'), join(directory, 'disk'));
  const fileSystem = FileSystem.of(point);
  await fileSystem.sync();
  execFileSync('mount', ['-o', 'remount,ro', point]);
  await t.rejects(fileSystem.sync(), { code: 'unavailable', message: /has become read-only/ });
  execFileSync('mount', ['-o', 'remount,rw', point]);
  await t.rejects(fileSystem.sync(), { message: /has become read-only/ }, 'nor after it, until a restart');
});

// Seen to fail with koffi 2, whose errno is not that of the call.
t.test('a sync that fails says why', { skip: canSyncFileSystems ? false : 'needs Linux 5.8' }, async (t) => {
  const noDescriptor = 2 ** 20;
  await t.rejects(realCalls.syncfs(noDescriptor), { message: /EBADF/ });
});
