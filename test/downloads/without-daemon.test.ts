import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { TestNode } from '../helpers/node.js';

t.test('reading needs nginx alone', async (t) => {
  const node = await TestNode.start(t);

  // Seen to fail with `open_file_cache_valid 60s`, which is nginx's default.
  t.test('a file that is being read is gone soon after the 204 of its deletion', async (t) => {
    const { id } = await node.upload(Buffer.from('read, then deleted'), '?ext=txt');
    t.equal((await node.get(id)).status, 200);
    t.equal((await node.delete(id)).status, 204);
    // The promised limit is one second; the rest is for a busy machine.
    await node.until(async () => (await node.get(id)).status === 404, 'gone', 5);
    t.equal((await node.get(id)).status, 404, 'and it stays gone');
    t.equal((await node.delete(id)).status, 404);
  });

  // Seen to fail with /info forwarded to the daemon, without 502 in the error pages of PROXY, and (a large upload, a
  // deletion) without recursive_error_pages.
  t.test(
    'with the daemon dead for good, downloads and /info go on, and uploads are told when to try again',
    async (t) => {
      const content = Buffer.alloc(700_000, 'x');
      const { id } = await node.upload(content, '?ext=bin');
      // A stopped supervisor does not restart the daemon.
      process.kill(node.pid, 'SIGSTOP');
      process.kill(node.daemonPid(), 'SIGKILL');
      t.teardown(() => process.kill(node.pid, 'SIGCONT'));
      await node.until(async () => (await node.get('/readyz')).status === 503, 'not ready');

      t.ok((await node.get(id)).body.equals(content), 'the file is served');
      t.equal((await node.get(id, { range: 'bytes=5-9' })).body.toString(), 'xxxxx');
      t.equal((await node.get(id, { 'if-none-match': '"386d4380-aae60"' })).status, 304);
      assertProblem(t, await node.get(id.replace('/00/', '/7F/')), 404, 'not-found', 'an ID that is not here');
      t.equal(JSON.parse((await node.get(`/info/${id}`)).body.toString()).size, 700_000);
      t.equal((await node.get('/healthz')).status, 200);

      const answers = {
        'a small upload': await node.post(Buffer.from('small')),
        'a large upload': await node.post(content),
        'a deletion': await node.delete(id),
        '/readyz': await node.get('/readyz'),
      };
      for (const [what, answer] of Object.entries(answers)) {
        assertProblem(t, answer, 503, 'unavailable', what);
        t.match(answer.headers['retry-after'], /^\d+$/, what);
      }

      process.kill(node.pid, 'SIGCONT');
      await node.until(async () => (await node.get('/readyz')).status === 200, 'ready again');
      t.equal((await node.post(Buffer.from('small'))).status, 201, 'uploads go on with the next daemon');
      await node.assertClean(t);
    },
  );
});
