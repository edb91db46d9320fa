import t from 'tap';
import { type Counts, History, KEPT } from '../../daemon/operations/history.js';
import { noBrowser, withConsole } from '../helpers/browser.js';
import { startCluster } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';

t.test('the samples of an hour are kept, with what each ten seconds added', (t) => {
  const counts: Counts = { uploads: 5, downloads: null, errors: 0, backlog: 3 };
  const history = new History(() => ({ ...counts }));
  t.teardown(() => history.stop());
  const start = 1_795_329_670_000;
  Object.assign(counts, { uploads: 7, downloads: 100, errors: 1 });
  history.take(start);
  const slot = start / 10_000;
  t.strictSame(history.recent, [{ slot, uploads: 2, downloads: 0, errors: 1, backlog: 3 }]);
  Object.assign(counts, { downloads: 130, backlog: 0 });
  history.take(start + 10_400);
  t.strictSame(history.recent[1], { slot: slot + 1, uploads: 0, downloads: 30, errors: 0, backlog: 0 });
  for (let more = 2; more < 2 * KEPT; more++) history.take(start + more * 10_000);
  t.equal(history.recent.length, KEPT);
  t.equal(history.recent.at(-1)?.slot, slot + 2 * KEPT - 1);
  history.take(start + 3 * KEPT * 10_000);
  t.equal(history.recent.length, 1, 'what is older than an hour is gone after a pause, too');
  history.take(start);
  t.equal(history.recent.length, 1, 'the clock was set back');
  t.equal(history.recent[0]?.slot, slot);
  t.end();
});

interface Told {
  interval: number;
  end: number;
  nodes: { id: number; samples: { uploads: number; errors: number }[] }[];
}

async function told(node: TestNode): Promise<Told> {
  return JSON.parse(String((await node.get('/console/api/history', node.authorized())).body));
}

/** What the nodes counted together. */
function sumOf({ nodes }: Told, figure: 'uploads' | 'errors'): number {
  return nodes.flatMap(({ samples }) => samples.map((sample) => sample[figure])).reduce((sum, one) => sum + one, 0);
}

t.test('the page shows what all nodes did in the last hour', { skip: noBrowser }, async (t) => {
  const nodes = await startCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '2' } });
  const [node, other] = nodes as [TestNode, TestNode];
  await node.upload(Buffer.from('one'));
  await other.upload(Buffer.from('two'));
  await node.until(async () => sumOf(await told(node), 'uploads') === 2, 'told of both');
  t.match(await told(node), { interval: 10, nodes: [{ id: 1 }, { id: 2 }] });
  await other.stop();
  const refused = () => node.request('/upload', { method: 'POST', body: 'x', headers: node.authorized() });
  await node.until(async () => (await node.get('/readyz')).status === 503, 'aware that the other is gone');
  t.equal((await refused()).status, 503);
  await node.until(async () => sumOf(await told(node), 'errors') === 1, 'counted');
  await withConsole(t, node.origin, async (console) => {
    const { page } = console;
    await console.openWithKey(node.key, 'cluster');
    const chart = page.locator('[data-figure=uploads]');
    await chart.getByText('1 in all').waitFor();
    t.equal(await page.locator('.chart').count(), 4);
    t.equal(await chart.getByRole('img').getAttribute('aria-label'), 'Uploads in the last hour: 1 in all');
    t.match(await chart.locator('.chart-line').getAttribute('d'), /^M[\d.]+ [\d.]+h/);
    t.match(await page.locator('[data-figure=errors]').innerText(), '1 in all');
    await chart.locator('svg').hover({ position: { x: 1, y: 10 } });
    t.match(await chart.locator('.chart-words').innerText(), /: –$/, 'nothing is known of an hour ago');
  });
});
