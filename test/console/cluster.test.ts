import t from 'tap';
import { noBrowser, withConsole } from '../helpers/browser.js';
import { holds, startCluster } from '../helpers/cluster.js';
import { Link } from '../helpers/link.js';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

const skip = noBrowser;

t.test('the page shows how a node goes down and comes back', { skip }, async (t) => {
  const random = seeded(t);
  const nodes = await startCluster(t, { groups: ['group1', 'group1'] });
  const [node, other] = nodes as [TestNode, TestNode];
  const content = random.bytes(100_000);
  const stored = [await node.upload(content), await node.upload(content)];
  await holds(
    other,
    stored.map(({ id }) => id),
  );
  await withConsole(t, node.origin, async (console) => {
    const { page } = console;
    await console.openWithKey(node.key, 'cluster');
    const card = page.locator('[data-node="2"]');
    const inState = (state: string) => page.waitForSelector(`[data-node="2"][data-state=${state}]`);
    await inState('up');
    t.match(await page.innerText('[data-node="1"]'), /Node 1 this one/);
    await card.getByText('Files', { exact: true }).waitFor();
    await page.locator('[data-node="2"] .node-figures').getByText('100 kB (50%)').waitFor();
    await page.getByText('All is well').waitFor();
    await other.stop();
    await inState('down');
    // Seen to fail with rates of nodes that are not up.
    t.match(await card.innerText(), /Uploads\s+–\s+Downloads\s+–/, 'what it does is not known');
    t.match(await page.innerText('.sums'), /Uploads\s+[\d.]+\/s\s+\d+ B\/s\s+Downloads\s+[\d.]+\/s/);
    t.match(await card.innerText(), /Down[\s\S]*The figures are the last that were heard\./);
    t.match(await page.innerText('.sums'), /1 \/ 2\s+Needs attention/);
    await other.start();
    await inState('up');
    await page.getByText('2 / 2').waitFor();
  });
});

t.test('outdated figures stay visible and are marked', { skip }, async (t) => {
  const node = await TestNode.start(t);
  const link = await Link.open(t, () => node.port);
  await withConsole(t, link.url, async (console) => {
    const { page } = console;
    await console.open('cluster');
    await page.getByText('With the key you see how the nodes are.').waitFor();
    await console.openWithKey(node.key, 'cluster');
    await page.locator('.fresh').getByText('Live').waitFor();
    await node.upload(Buffer.from('one'));
    await page.locator('[data-node="1"] .node-figures').getByText('3 bytes', { exact: true }).first().waitFor();
    link.set('cut');
    await page.getByText('No answer; this is from').waitFor();
    await page.locator('.sums').getByText('–').first().waitFor();
    t.match(await page.innerText('[data-node="1"]'), '3 bytes', 'the last figures are still there');
    link.set('up');
    await page.locator('.fresh').getByText('Live').waitFor();
  });
});

t.test('a hidden page sends no requests', { skip }, async (t) => {
  const node = await TestNode.start(t);
  await withConsole(t, node.origin, async (console) => {
    const { page } = console;
    await console.openWithKey(node.key, 'cluster');
    await page.waitForSelector('[data-node="1"]');
    const isAsked = () => page.waitForResponse('**/console/api/cluster');
    await isAsked();
    await page.evaluate(`
      globalThis.isHidden = true;
      Object.defineProperty(document, 'hidden', { get: () => globalThis.isHidden });
      document.dispatchEvent(new Event('visibilitychange'));
    `);
    let asked = 0;
    page.on('request', (request) => {
      if (request.url().endsWith('/cluster')) asked++;
    });
    await page.evaluate('new Promise((resolve) => setTimeout(resolve, 5000))');
    t.equal(asked, 0, 'in the time of two questions there was none');
    const again = isAsked();
    await page.evaluate('globalThis.isHidden = false; document.dispatchEvent(new Event("visibilitychange"))');
    t.equal((await again).status(), 200);
  });
});
