import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Reservation } from '../../daemon/store/reservation.js';
import { StorePath } from '../../daemon/store/store-path.js';

// Seen to fail with claim in the place of claimForCopy.
t.test('a copy may go below the reserve, counts against uploads, and gives back what it did not take', async (t) => {
  const root = join(t.testdir({}), 'path');
  const below = new StorePath(0, root, { bytes: 2 ** 60 });
  below.open(undefined);
  t.throws(() => new Reservation(below, 1), { code: 'full' }, 'an upload has no room');
  const { bavail, bsize } = statfsSync(root);
  t.throws(() => Reservation.forCopy(below, 2 * bavail * bsize), { code: 'full' }, 'nor has what the disk cannot take');
  const room = Reservation.forCopy(below, 1000);
  t.equal(below.space.reserved, 1000);
  room.arrive(400);
  room.written(400);
  t.equal(below.space.reserved, 600);
  room.release();
  room.release();
  t.equal(below.space.reserved, 0, 'once');
});
