import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import t from 'tap';
import { filesOn } from '../helpers/disk.js';
import { MULTIPART, multipart } from '../helpers/multipart.js';
import { TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

const node = await TestNode.start(t);
const small = Buffer.from('the bytes');
const large = Buffer.alloc(2 ** 20, 'x');

const sha256 = (body: Buffer) => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
const sha512 = (body: Buffer) => `sha-512=:${createHash('sha512').update(body).digest('base64')}:`;
const crc = (body: Buffer) => `?crc32=${crc32(body).toString(16).padStart(8, '0')}`;
const other = Buffer.from('other bytes');

// Seen to fail without the call of checkContent in upload().
t.test('a digest that does not match the body is 400 and nothing is kept, whatever the size', async (t) => {
  for (const body of [small, large]) {
    const before = filesOn(node.storePath).length;
    const chunked = () => Readable.from([body], { objectMode: false });
    const outcomes = {
      crc32: outcome(await node.post(body, crc(other))),
      repr: outcome(await node.post(body, '', { 'repr-digest': sha256(other) })),
      content: outcome(await node.post(body, '', { 'content-digest': sha256(other) })),
      chunked: outcome(await node.post(chunked(), '', { 'content-digest': sha256(other) })),
      second: outcome(await node.post(body, '', { 'repr-digest': sha256(body), 'content-digest': sha256(other) })),
      one: outcome(await node.post(body, crc(other), { 'repr-digest': sha256(body) })),
    };
    t.strictSame([...new Set(Object.values(outcomes))], ['400 digest-mismatch'], { outcomes });
    t.equal(filesOn(node.storePath).length, before);
  }
});

t.test('a digest that matches is taken', async (t) => {
  for (const body of [small, large]) {
    const outcomes = [
      outcome(await node.post(body, crc(body))),
      outcome(await node.post(body, crc(body).toUpperCase().replace('CRC32', 'crc32'))),
      outcome(await node.post(body, crc(body), { 'repr-digest': sha256(body), 'content-digest': sha256(body) })),
      outcome(await node.post(body, '', { 'repr-digest': `${sha512(other)}, ${sha256(body)}` })),
      // Algorithms that are not supported are ignored.
      outcome(await node.post(body, '', { 'repr-digest': sha512(body) })),
    ];
    t.strictSame([...new Set(outcomes)], ['201'], { outcomes });
  }
});

t.test('a digest that is malformed, or on multipart, is 400 and nothing is kept', async (t) => {
  const before = filesOn(node.storePath).length;
  const malformed = ['sha-256=', 'sha-256=abc', 'sha-256=::', 'sha-256=:AAAA:', `${sha256(small)}x`, 'sha-256=:%%%:'];
  const form = multipart({ fileName: 'a', content: small });
  const outcomes: string[] = [];
  for (const digest of malformed) {
    outcomes.push(outcome(await node.post(small, '', { 'repr-digest': digest })));
    outcomes.push(outcome(await node.post(small, '', { 'content-digest': digest })));
  }
  for (const crc of ['', '1234567', '123456789', 'xyzxyzxy', '0x123456', '-1234567', '%00']) {
    outcomes.push(outcome(await node.post(small, `?crc32=${crc}`)));
  }
  outcomes.push(outcome(await node.post(form, crc(small), MULTIPART)));
  outcomes.push(outcome(await node.post(form, '', { ...MULTIPART, 'repr-digest': sha256(small) })));
  outcomes.push(outcome(await node.post(form, '', { ...MULTIPART, 'content-digest': sha256(form) })));
  t.strictSame([...new Set(outcomes)], ['400 bad-digest'], { outcomes });
  t.equal(filesOn(node.storePath).length, before);
});

t.test('and afterwards nothing is wrong on the disk', (t) => node.assertClean(t));
