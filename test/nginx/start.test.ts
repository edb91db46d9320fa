import t from 'tap';
import { TestNode } from '../helpers/node.js';

// Seen to fail (the command never ends) with a waitUntilListening that keeps polling after nginx has exited.
t.test('a start whose nginx cannot start exits with status 1 and the reason', async (t) => {
  const node = await TestNode.create(t, { env: { FIDFS_LISTEN: 'no-such-host.invalid:8080' } });
  const { status, stdout, stderr } = await node.command('start');
  t.equal(status, 1);
  t.match(stderr, /no-such-host\.invalid/);
  t.match(stderr, /nginx cannot (start|listen)/);
  t.notMatch(stdout, /is ready/);
});
