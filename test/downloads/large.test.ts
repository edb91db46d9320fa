import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import t from 'tap';
import fileId from '../../file-id/file-id.js';
import { TestNode } from '../helpers/node.js';

const GIB = 2 ** 30;

t.test('files around and beyond 4 GiB', async (t) => {
  const node = await TestNode.start(t);

  /** Creates a sparse file in the store path, with its position written at every GiB and at its end; returns its ID. */
  const place = (size: number): string => {
    const key = fileId.encodeKey({ serverId: 7, created: 1_795_328_179, size, crc32: size % 99991, counter: 5 });
    const name = key.toString('base64url') + fileId.makeTail('mp4', 123);
    const path = `${node.storePath}/data/00/07/${name}`;
    mkdirSync(dirname(path), { recursive: true });
    const file = openSync(path, 'wx');
    ftruncateSync(file, size);
    for (const position of [...marks(size)]) writeSync(file, textAt(position), position);
    closeSync(file);
    return fileId.join('group1', 0, 7, name);
  };
  const marks = (size: number) =>
    [0, 1, 2, 3, 4]
      .map((one) => one * GIB)
      .filter((one) => one + 16 < size)
      .concat(size - 16);
  const textAt = (position: number) => String(position).padStart(16, '.');

  const sizes = [4 * GIB - 1, 4 * GIB, 4 * GIB + 1, 5 * GIB, 9 * GIB];
  // Seen to fail with the low 32 bits of the size field as the size, in decodeName (/info).
  for (const size of sizes) {
    t.test(`${size} bytes`, async (t) => {
      const id = place(size);
      const head = await node.request(`/${id}`, { method: 'HEAD' });
      t.match(head, { status: 200, headers: { 'content-length': String(size), 'content-type': 'video/mp4' } });
      t.equal(JSON.parse((await node.get(`/info/${id}`)).body.toString()).size, size);
      const wrong: unknown[] = [];
      const expect = async (range: string, position: number) => {
        const { status, headers, body } = await node.get(id, { range });
        const contentRange = `bytes ${position}-${position + 15}/${size}`;
        if (status === 206 && headers['content-range'] === contentRange && body.toString() === textAt(position)) return;
        wrong.push({ range, status, contentRange: headers['content-range'], body: body.toString().slice(0, 20) });
      };
      for (const position of marks(size)) await expect(`bytes=${position}-${position + 15}`, position);
      await expect('bytes=-16', size - 16);
      await expect(`bytes=${size - 16}-`, size - 16);
      t.strictSame(wrong, []);
      const across = await node.get(id, { range: `bytes=${size - 17}-${size + 2 ** 33}` });
      t.equal(across.body.toString('latin1'), `\0${textAt(size - 16)}`);
      const beyond = await node.get(id, { range: `bytes=${size}-` });
      t.match(beyond, { status: 416, headers: { 'content-range': `bytes */${size}` } });
      t.equal((await node.delete(id)).status, 204);
    });
  }
});
