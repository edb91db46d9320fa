import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import fileId from '../../file-id/file-id.js';
import { TestNode, uploadedOf } from '../helpers/node.js';

const UPLOADS = 2000;

// Seen to fail with a constant counter in Identifiers.next (the store's exclusive create refuses the second file).
t.test('2,000 parallel uploads of the same bytes get 2,000 IDs, each of them served', async (t) => {
  const node = await TestNode.start(t);
  const body = Buffer.from('the same bytes, every time');
  const began = Math.floor(Date.now() / 1000);
  const answers = await Promise.all(Array.from({ length: UPLOADS }, () => node.post(body, '?ext=txt')));
  const files = answers.flatMap(uploadedOf);
  t.equal(new Set(files.map((file) => file.id)).size, UPLOADS);
  const keys = files.map((file) => fileId.keyOf(fileId.decode(file.id).name).toString('hex'));
  t.equal(new Set(keys).size, UPLOADS, 'the 20 bytes alone tell them apart');
  const ended = Math.floor(Date.now() / 1000);
  const seconds = files.map((file) => Date.parse(file.created) / 1000);
  t.ok(
    seconds.every((second) => second >= began && second <= ended),
    'created is the second in which each was taken',
  );
  const wrong: string[] = [];
  for (const { id } of files) if (!(await node.get(id)).body.equals(body)) wrong.push(id);
  t.strictSame(wrong, []);
  const counts = readdirSync(join(node.storePath, 'data/00')).map(
    (directory) => readdirSync(join(node.storePath, 'data/00', directory)).length,
  );
  t.strictSame(counts, new Array(UPLOADS / 100).fill(100), 'directories fill in turn, a hundred files each');
  await node.assertClean(t);
});
