import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createCluster, startAll } from '../helpers/cluster.js';
import { startMisbehaving } from '../helpers/misbehaving.js';
import type { TestNode } from '../helpers/node.js';
import { plainJpeg } from '../helpers/pictures.js';
import { missing, run } from '../helpers/programs.js';

const CLIENT = fileURLToPath(new URL('../../../clients/php', import.meta.url));
const DOWNLOAD_KEY = 'download-key-0123456789';

t.test('the PHP client does what it promises', { skip: missing('php', 'phpunit') }, async (t) => {
  const env = { FIDFS_PICTURES: JSON.stringify({ thumb: { width: 60 } }) };
  const nodes = await createCluster(t, { groups: ['group1', 'group2'], env });
  const [open, other] = nodes as [TestNode, TestNode];
  other.configure({ FIDFS_DOWNLOADS: 'signed', FIDFS_DOWNLOAD_KEY: DOWNLOAD_KEY });
  await startAll(nodes);
  const picture = join(t.testdir(), 'picture.jpg');
  writeFileSync(picture, await plainJpeg(90, 90));
  const facts = {
    FIDFS_TEST_SERVER: open.origin,
    FIDFS_TEST_PRIVATE: other.origin,
    FIDFS_TEST_HELPER: await startMisbehaving(t, open.origin),
    FIDFS_TEST_KEY: open.key,
    FIDFS_TEST_DOWNLOAD_KEY: DOWNLOAD_KEY,
    FIDFS_TEST_PICTURE: picture,
  };
  // One test for each method of the classes in clients/php/tests; the memory is less than the large file.
  const options = ['-d', 'memory_limit=48M', '/usr/bin/phpunit', '--testdox', '-c', CLIENT];
  const { status, stdout, stderr } = await run('php', options, facts);
  const methods = [...stdout.matchAll(/^ +([✔✘↩∅⚠☢]) (.*)$/gm)];
  for (const [, mark, name = ''] of methods) t.equal(mark, '✔', name);
  t.ok(methods.length > 10, 'all of them were run');
  t.equal(status, 0, 'PHPUnit found no fault', { stdout, stderr });
});
