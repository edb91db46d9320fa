import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import t from 'tap';
import { MULTIPART, multipart } from '../helpers/multipart.js';
import { TestNode, type Uploaded, uploadedOf } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';
import { head, RawConnection } from '../helpers/raw.js';

const node = await TestNode.start(t);
const random = seeded(t);
/** Around the limits of nginx's request buffering (499,999) and of the daemon's memory buffer (512 KiB), and far beyond. */
const SIZES = [0, 1, 1000, 499_999, 500_000, 524_287, 524_288, 524_289, 5 * 2 ** 20];

function* pieces(body: Buffer): Generator<Buffer> {
  for (let offset = 0; offset < body.length; offset += 60_000) yield body.subarray(offset, offset + 60_000);
}

/** Compares the fields of the answer and the downloaded bytes with the body sent; returns the differences. */
async function differences(file: Uploaded | undefined, body: Buffer): Promise<string[]> {
  if (!file) return ['no file in the answer'];
  const wrong: string[] = [];
  if (file.size !== body.length) wrong.push(`size ${file.size}`);
  if (Number.parseInt(file.crc32, 16) !== crc32(body)) wrong.push(`crc32 ${file.crc32}`);
  if (file.sha256 !== createHash('sha256').update(body).digest('hex')) wrong.push(`sha256 ${file.sha256}`);
  const back = await node.get(file.id);
  if (back.status !== 200 || !back.body.equals(body)) wrong.push(`${back.status}, ${back.body.length} other bytes`);
  const info = JSON.parse((await node.get(`/info/${file.id}`)).body.toString());
  if (info.size !== body.length || info.crc32 !== file.crc32) wrong.push(`info says ${info.size} ${info.crc32}`);
  return wrong;
}

// Seen to fail without `this.digest(chunk)` in IncomingFile.write.
t.test('a raw body of any size comes back byte for byte, its length known or not, by POST or PUT', async (t) => {
  const wrong: string[] = [];
  for (const size of SIZES) {
    for (const method of ['POST', 'PUT'] as const) {
      for (const chunked of [false, true]) {
        const body = random.bytes(size);
        const answer = await node.request('/upload', {
          method,
          headers: node.authorized(),
          body: chunked ? Readable.from(pieces(body), { objectMode: false }) : body,
        });
        const found = await differences(uploadedOf(answer)[0], body);
        if (found.length > 0) wrong.push(`${method} ${size} chunked ${chunked}: ${found}`);
      }
    }
  }
  t.strictSame(wrong, []);
});

// Seen to fail when multipart feeds its parser the first chunk only.
t.test('the files of a multipart body come back byte for byte, in their order, whatever their sizes', async (t) => {
  const wrong: string[] = [];
  for (const sizes of [[0], [1], [499_000], [524_288], [5 * 2 ** 20], [0, 1, 1000, 524_289, 3, 700_000, 0]]) {
    for (const chunked of [false, true]) {
      const contents = sizes.map((size) => random.bytes(size));
      const body = multipart(...contents.map((content, number) => ({ fileName: `${number}.bin`, content })));
      const answer = await node.post(
        chunked ? Readable.from(pieces(body), { objectMode: false }) : body,
        '',
        MULTIPART,
      );
      const files = uploadedOf(answer);
      if (files.length !== contents.length) wrong.push(`${files.length} files of ${contents.length}`);
      for (const [number, content] of contents.entries()) {
        const found = await differences(files[number], content);
        if (found.length > 0) wrong.push(`${sizes} chunked ${chunked}, file ${number}: ${found}`);
      }
    }
  }
  t.strictSame(wrong, []);
});

t.test('Expect: 100-continue is answered before the body comes', async (t) => {
  for (const size of [10, 600_000]) {
    const connection = await RawConnection.open(t, node);
    connection.write(head(node, 'POST /upload', { 'Content-Length': size, Expect: '100-continue' }));
    t.match(await connection.until((text, ended) => ended || text.endsWith('\r\n\r\n')), /^HTTP\/1.1 100 /);
    connection.write(random.bytes(size));
    t.equal((await connection.answer()).status, 201);
    connection.destroy();
  }
});

t.test('and afterwards nothing is wrong on the disk', (t) => node.assertClean(t));
