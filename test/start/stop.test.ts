import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { TestNode } from '../helpers/node.js';

/** An upload that ends when the test calls `finish`. */
async function slowUpload(node: TestNode): Promise<{ finish(): Promise<{ status: number; body: string }> }> {
  const headers = { authorization: `Bearer ${node.key}`, 'transfer-encoding': 'chunked' };
  const upload = request(`${node.origin}/upload?ext=bin`, { method: 'POST', headers, agent: false });
  const answered = once(upload, 'response');
  answered.catch(() => {});
  upload.write(Buffer.alloc(3_000_000, 'a'));
  await node.until(() => readdirSync(join(node.storePath, 'tmp')).length > 0, 'receiving');
  return {
    async finish() {
      upload.end('z');
      const [answer] = await answered;
      let body = '';
      for await (const chunk of answer) body += chunk;
      return { status: answer.statusCode, body };
    },
  };
}

for (const [how, signal, group] of [
  ['SIGTERM', 'SIGTERM', false],
  ['SIGINT', 'SIGINT', false],
  ['Ctrl-C, which every process of the terminal gets,', 'SIGINT', true],
] as const) {
  t.test(`${how} stops the node cleanly, and an upload under way is finished and answered`, async (t) => {
    const node = await TestNode.start(t);
    const { pid } = node;
    const pids = node.pids();
    const upload = await slowUpload(node);
    process.kill(group ? -pid : pid, signal);
    await node.until(async () => (await node.post('new')).status === 503, 'refusing new uploads');
    // Seen to fail with SIGTERM sent to both at the same time in stop(), and, for Ctrl-C, without separate process groups.
    const { status, body } = await upload.finish();
    t.equal(status, 201);
    t.equal(await node.ended(), 0, 'exit status');
    t.strictSame(pids.filter(runs), [], 'no process is left');
    await node.start();
    const { id } = JSON.parse(body).files[0];
    t.equal((await node.get(id)).body.length, 3_000_001);
    await node.assertClean(t);
    t.notMatch(node.log, 'not a clean one');
  });
}

t.test('a signal while the node is starting stops it, whenever it comes', async (t) => {
  const statuses: unknown[] = [];
  const left: number[] = [];
  for (const delay of [50, 300, 450, 600, 750, 900]) {
    const node = await TestNode.create(t);
    const ready = node.start().catch(() => undefined);
    await sleep(delay);
    const pids = node.pids();
    process.kill(node.pid, 'SIGTERM');
    const status = await node.ended();
    // Before the handlers are installed, the signal ends the process.
    if (status !== 0 && status !== 'SIGTERM') statuses.push([delay, status, node.log]);
    await ready;
    // Processes started before the handlers were installed, such as `nginx -V`, end by themselves.
    const ended = () => !pids.some(runs);
    await node.until(ended, 'without processes', 10).catch(() => left.push(...pids.filter(runs)));
  }
  // Seen to fail when the daemon's exit by that signal counts as a failure.
  t.strictSame(statuses, []);
  t.strictSame(left, []);
});

/** Whether a process runs; a zombie does not. */
function runs(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
