import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { createCluster, startAll } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';

const PICTURE = Buffer.from('the picture of nothing');

/** Requests for a picture: <img> in Chrome, Firefox and Safari, on secure origins and others, and what programs send. */
const WANTS_IMAGE: Record<string, string>[] = [
  { 'sec-fetch-dest': 'image', accept: 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8' },
  { 'sec-fetch-dest': 'image', accept: '*/*' },
  { 'sec-fetch-dest': 'image' },
  { accept: 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8' },
  { accept: 'image/webp,*/*' },
  { accept: 'image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,*/*;q=0.5' },
  { accept: 'IMAGE/*' },
  { accept: 'image/*, text/html;q=0.5' },
  { accept: 'text/plain;q=0.1, image/jpeg' },
];
/** Requests for a page or for data, and those that take anything. */
const WANTS_NONE: Record<string, string>[] = [
  { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8' },
  {
    'sec-fetch-dest': 'document',
    accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  },
  { 'sec-fetch-dest': 'empty', accept: 'image/*' },
  { accept: '*/*' },
  { accept: 'application/problem+json, image/*' },
  {},
];

t.test('with notFoundImage a picture that is not there is that one, with status 404', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group1', 'group2'], env: { FIDFS_COPIES: '1' } });
  const [node, peer] = nodes as [TestNode, TestNode];
  const file = join(node.directory, 'no such "picture".webp');
  writeFileSync(file, PICTURE);
  node.configure({ FIDFS_NOT_FOUND_IMAGE: file });
  await startAll(nodes);
  const { id } = await node.upload(Buffer.from('content'), '?group=group1&ext=jpg');
  const absent = id.replace(/^(.*\/)A/, '$1B');
  // Of this group, of another one, of none, not an ID, and without the group and the store path.
  const paths = [absent, absent.replace('group1', 'group2'), absent.replace('group1', 'group9'), 'group1/x.jpg'];
  paths.push('nothing.jpg', absent.replace('group1/M00', 'group1'));

  // Seen to fail without `=404` (status 200), without max_ranges, and with the type by the URI's extension.
  t.test('requests for a picture get it', async (t) => {
    for (const path of paths) {
      for (const headers of WANTS_IMAGE) {
        const more = { range: 'bytes=0-1', 'if-none-match': '"x"', 'if-modified-since': new Date().toUTCString() };
        const { status, headers: got, body } = await node.get(path, { ...headers, ...more });
        t.strictSame([status, body.toString()], [404, PICTURE.toString()], `${path} ${JSON.stringify(headers)}`);
        t.match(got, { 'content-type': 'image/webp', 'cache-control': 'no-store' });
      }
      const head = await node.request(`/${path}`, { method: 'HEAD', headers: { accept: 'image/*' } });
      t.match(head, { status: 404, headers: { 'content-length': String(PICTURE.length) } });
    }
  });

  // Seen to fail without text/html in wantsImage, and without Sec-Fetch-Dest there.
  t.test('other requests get the problem document', async (t) => {
    for (const path of paths) {
      for (const headers of WANTS_NONE) {
        const answer = await node.get(path, headers);
        assertProblem(t, answer, 404, 'not-found', `${path} ${JSON.stringify(headers)}`);
        t.equal(answer.headers.vary, 'Accept, Sec-Fetch-Dest');
      }
    }
  });

  t.test('a file that is there, another status, a deletion and another node are not affected', async (t) => {
    const accept = { accept: 'image/*' };
    t.equal((await node.get(id, accept)).body.toString(), 'content');
    t.equal((await node.get(id, { ...accept, range: 'bytes=99-' })).status, 416);
    assertProblem(t, await node.delete(absent, node.authorized(accept)), 404, 'not-found', 'DELETE');
    assertProblem(t, await peer.get(absent, accept), 404, 'not-found', 'a node without the setting');
  });

  // Seen to fail (403 or 404 of nginx's own) without `fallback`.
  t.test('without the file the problem document is back', async (t) => {
    rmSync(file);
    assertProblem(t, await node.get(absent, { accept: 'image/*' }), 404, 'not-found', 'gone');
  });
});
