import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { problemOf } from '../helpers/assert-problem.js';
import { filesOn } from '../helpers/disk.js';
import { BOUNDARY, MULTIPART } from '../helpers/multipart.js';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';
import { named, tus } from '../helpers/tus.js';

/*
 * Uploads are stored as the file that the client meant, or refused with the reason.
 */

const node = await TestNode.start(t);

function extensionOf(id: string | undefined): string {
  return (id ?? '').replace(/^group1\/M00\/..\/..\/.{27}\d*/, '');
}

/** Builds a body whose parts have these headers; `blanks` follow each boundary. */
function partsOf(headers: string[], blanks = ''): Buffer {
  const parts = headers.map((lines) => `--${BOUNDARY}${blanks}\r\n${lines}\r\n\r\nx\r\n`);
  return Buffer.from(`${parts.join('')}--${BOUNDARY}--${blanks}\r\n`);
}

const disposition = (fileName: string) => `Content-Disposition: form-data; name="f"; filename="${fileName}"`;

/** Sends a multipart body in both ways: buffered in memory and streamed. */
async function bothWays(body: Buffer) {
  const streamed = Readable.from([body.subarray(0, 7), body.subarray(7)], { objectMode: false });
  return [await node.post(body, '', MULTIPART), await node.post(streamed, '', MULTIPART)];
}

// Seen to fail (201) without assertNotEncoded.
t.test('an encoded body is 415 and says what is taken, wherever it is sent', async (t) => {
  const before = filesOn(node.storePath).length;
  const gzip = { 'content-encoding': 'gzip' };
  const answers = [
    await node.post(gzipSync('<p>'), '?ext=html', gzip),
    await node.post(partsOf([disposition('a.txt')]), '', { ...MULTIPART, ...gzip }),
    await tus(node, 'POST', '/tus/', { 'upload-length': '3', ...gzip }),
  ];
  for (const answer of answers) {
    t.equal(outcome(answer), '415 unsupported-encoding');
    t.equal(answer.headers['accept-encoding'], 'identity');
  }
  t.equal(filesOn(node.storePath).length, before);
  t.equal(outcome(await node.post('x', '', { 'content-encoding': 'identity' })), '201');
});

// Seen to fail (201) without assertNotPiece.
t.test('a piece of a file is 400, and the answer says how pieces are sent', async (t) => {
  const answer = await node.post('x', '', { 'content-range': 'bytes 0-0/2' });
  t.equal(outcome(answer), '400 bad-request');
  t.match(problemOf(answer).detail, /tus/);
});

// Seen to fail (201) without OTHER_MULTIPART.
t.test('other multipart bodies than multipart/form-data are 415', async (t) => {
  for (const type of ['mixed', 'related', 'alternative', 'byteranges', 'form-data-2']) {
    for (const query of ['', '?ext=jpg']) {
      const headers = { 'content-type': `multipart/${type}; boundary=${BOUNDARY}` };
      t.equal(outcome(await node.post(partsOf([disposition('a.txt')]), query, headers)), '415 unsupported-media-type');
    }
  }
});

// Seen to fail (201) without watchParts' and the field listener's `fail`.
t.test(
  'a part that would be lost or stored as what it is not is 400, and none of its neighbours is kept',
  async (t) => {
    const before = filesOn(node.storePath).length;
    const bad = [
      `${disposition('a.txt')}\r\nContent-Transfer-Encoding: base64`,
      `${disposition('a.txt')}\r\nContent-Transfer-Encoding: Quoted-Printable`,
      `${disposition('a.txt')}\r\nContent-Encoding: gzip`,
      'Content-Disposition: form-data; name="f"\r\nContent-Type: multipart/mixed; boundary=inner',
      'Content-Disposition: form-data; name="f"\r\nContent-Type: image/png',
      'Content-Disposition: form-data; name="f"\r\nContent-Type: application/json',
    ];
    const found: string[] = [];
    for (const headers of bad) {
      for (const answer of await bothWays(partsOf([disposition('good.txt'), headers]))) found.push(outcome(answer));
    }
    t.strictSame(new Set(found), new Set(['400 malformed-multipart']));
    t.equal(filesOn(node.storePath).length, before);
  },
);

t.test(
  'fields of text, encodings that are none and files without a name but with the type of one are taken as ever',
  async (t) => {
    const good = [
      `${disposition('a.txt')}\r\nContent-Transfer-Encoding: 8bit`,
      `${disposition('b.txt')}\r\nContent-Transfer-Encoding: binary`,
      'Content-Disposition: form-data; name="f"',
      // Fields as .NET, Spring and Apache's client write them.
      'Content-Disposition: form-data; name="f"\r\nContent-Type: text/plain; charset=utf-8',
      'Content-Disposition: form-data; name="f"\r\nContent-Type: application/octet-stream',
    ];
    for (const answer of await bothWays(partsOf(good))) t.equal(uploadedOf(answer).length, 3);
  },
);

// Seen to fail (400) without BoundaryLines.
t.test('blanks behind a boundary are no part of it', async (t) => {
  for (const blanks of [' ', '\t \t', ' '.repeat(500)]) {
    const body = partsOf([disposition('a.txt'), disposition('b.txt')], blanks);
    for (const answer of await bothWays(body)) t.equal(uploadedOf(answer).length, 2);
    // Cut at positions near the first boundary and near the second.
    for (let cut = 1; cut < Math.min(body.length, 400); cut += 11) {
      const pieces = Readable.from([body.subarray(0, cut), body.subarray(cut)], { objectMode: false });
      const files = uploadedOf(await node.post(pieces, '', MULTIPART));
      if (files.length !== 2 || files.some(({ size }) => size !== 1)) t.fail(`cut at ${cut}`);
    }
  }
});

t.test('what only looks like a boundary is content', async (t) => {
  const content = `\r\n--${BOUNDARY.slice(0, -1)}  \r\n\r\r\n--x\r\n--${BOUNDARY}  x\r\n \r`;
  const body = Buffer.from(
    `--${BOUNDARY}\r\n${disposition('a.txt')}\r\n\r\n${content.replace(`${BOUNDARY}  x`, 'y')}\r\n--${BOUNDARY}--\r\n`,
  );
  for (const answer of await bothWays(body)) {
    const [file] = uploadedOf(answer);
    t.equal((await node.get(file?.id ?? '')).body.toString(), content.replace(`${BOUNDARY}  x`, 'y'));
  }
});

// Seen to fail (.txt) with text/plain as the default type of a part, and without the removal of queries in
// extensionFromFileName.
t.test('the extension of a part comes from its name, however that is written, and never from a default', async (t) => {
  const base64 = (name: string) => `=?utf-8?B?${Buffer.from(name).toString('base64')}?=`;
  const cases: [name: string, type: string, extension: string][] = [
    ['LICENSE', '', ''],
    ['weights.safetensors', '', ''],
    ['data.parquet', '', ''],
    ['LICENSE', 'text/plain', '.txt'],
    ['photo.jpg ', '', '.jpg'],
    ['photo.jpg.', '', '.jpg'],
    ['photo.jpg?x=1', '', '.jpg'],
    ['photo.jpg?v=1.5', '', '.jpg'],
    ['photo.jpg#top', '', '.jpg'],
    ['what?.txt', '', '.txt'],
    ['C# notes.md', '', '.md'],
    [base64('照片.png'), '', '.png'],
    [base64('~~~???.png'), '', '.png'],
    [`${base64('a long name, in ')} ${base64('two.webp')}`, '', '.webp'],
    ['=?ISO-8859-1?Q?caf=E9=2Egif?=', '', '.gif'],
    ['=?gb2312?b?1dXGrC5qcGc=?=', '', '.jpg'],
  ];
  for (const fast of [true, false]) {
    const body = partsOf(
      cases.map(([name, type]) => disposition(name) + (type === '' ? '' : `\r\nContent-Type: ${type}`)),
    );
    const sent = fast ? body : Readable.from([body], { objectMode: false });
    const files = uploadedOf(await node.post(sent, '', MULTIPART));
    t.strictSame(
      files.map(({ id }, number) => [cases[number]?.[0], cases[number]?.[1], extensionOf(id)]),
      cases,
    );
  }
});

// Seen to fail without USUAL_EXTENSIONS.
t.test('media types that clients really send have the usual extension', async (t) => {
  const cases: [type: string, extension: string][] = [
    ['image/jpg', '.jpg'],
    ['image/pjpeg', '.jpg'],
    ['image/x-png', '.png'],
    ['audio/x-mp3', '.mp3'],
    ['audio/mp3', '.mp3'],
    ['audio/x-wav', '.wav'],
    ['audio/ogg', '.ogg'],
    ['audio/aac', '.aac'],
    ['audio/mp4', '.m4a'],
    ['video/avi', '.avi'],
    ['video/quicktime', '.mov'],
    ['video/mpeg', '.mpg'],
    ['application/x-gzip', '.gz'],
    ['application/x-zip-compressed', '.zip'],
    ['application/x-javascript', '.js'],
    ['application/font-woff', '.woff'],
    ['text/markdown', '.md'],
    ['text/csv', '.csv'],
  ];
  const found: typeof cases = [];
  for (const [type] of cases) {
    found.push([type, extensionOf(uploadedOf(await node.post('x', '', { 'content-type': type }))[0]?.id)]);
  }
  t.strictSame(found, cases);
  const json = uploadedOf(await node.post(partsOf([`${disposition('a')}\r\nContent-Type: text/json`]), '', MULTIPART));
  t.equal(extensionOf(json[0]?.id), '.json');
});

// Seen to fail with the first type of Accept taken for the preferred one.
t.test('IDs come as text only to those who prefer text', async (t) => {
  const cases: [accept: string, type: string][] = [
    ['text/plain', 'text/plain'],
    ['text/*', 'text/plain'],
    ['text/plain, */*;q=0.1', 'text/plain'],
    ['application/json;q=0.5, text/plain', 'text/plain'],
    ['text/plain, application/json, */*', 'application/json'],
    ['application/json, text/plain, */*', 'application/json'],
    ['text/plain;q=0.5, application/json', 'application/json'],
    ['text/plain;q=0, */*', 'application/json'],
    ['text/html, */*', 'application/json'],
    ['*/*', 'application/json'],
    ['nonsense', 'application/json'],
  ];
  const found: typeof cases = [];
  for (const [accept] of cases) {
    const { headers } = await node.post('x', '', { accept });
    found.push([accept, String(headers['content-type']).replace(/;.*/, '')]);
  }
  t.strictSame(found, cases);
});

// Seen to fail (400) without headersFor, and when names that are not UTF-8 are refused.
t.test('an upload in pieces is not lost for its metadata', async (t) => {
  const { 'upload-metadata': pair = '' } = named('a.png') as Record<string, string>;
  const written = [
    `${pair}, other ${Buffer.from('x').toString('base64')}`,
    ` other , ${pair} `,
    `filename ${Buffer.from([0xd5, 0xd5, ...Buffer.from('.png')]).toString('base64')}`,
    `filename ${Buffer.from('a\r\nX: y.png').toString('base64')}`,
  ];
  for (const metadata of written) {
    const octets = { 'content-type': 'application/offset+octet-stream' };
    const headers = { 'upload-length': '1', 'upload-metadata': metadata, ...octets };
    const answer = await tus(node, 'POST', '/tus/', headers, Buffer.from('x'));
    t.equal(extensionOf(String(answer.headers['fidfs-id'])), '.png', metadata);
  }
});

t.test('and afterwards nothing is wrong on the disk', (t) => node.assertClean(t));
