import { Readable } from 'node:stream';
import t from 'tap';
import { filesOn } from '../helpers/disk.js';
import { BOUNDARY, MULTIPART, multipart } from '../helpers/multipart.js';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

const node = await TestNode.start(t);
const pid = node.daemonPid();

const send = async (body: Buffer) => outcome(await node.post(body, '', MULTIPART));
const sendChunked = async (body: Buffer) =>
  outcome(await node.post(Readable.from([body], { objectMode: false }), '', MULTIPART));
const many = (count: number, fileName?: string) =>
  Array.from({ length: count }, () => (fileName === undefined ? { content: 'x' } : { fileName, content: 'x' }));

t.test('a multipart body without a file is 400', async (t) => {
  const bodies = [
    multipart(),
    multipart({ content: 'a text field' }),
    multipart({ fileName: '', type: 'application/octet-stream', content: '' }),
    multipart(...many(1000)),
  ];
  const found: string[] = [];
  for (const body of bodies) found.push(await send(body), await sendChunked(body));
  t.strictSame(found, new Array(found.length).fill('400 no-file'));
});

// Seen to fail when the parser's error only ends the parsing, and without the comparison with LAST_LINE in multipart.ts.
t.test('a multipart body cut off anywhere is 400, and nothing of it is kept', async (t) => {
  const before = filesOn(node.storePath).length;
  const whole = multipart(
    { content: 'field' },
    { fileName: 'a.txt', content: 'one' },
    { fileName: 'b', content: 'two' },
  );
  const wrong = new Map<number, string>();
  // Without its last line break it is whole all the same.
  for (let cut = 0; cut < whole.length - 2; cut++) {
    const found = cut % 2 === 0 ? await send(whole.subarray(0, cut)) : await sendChunked(whole.subarray(0, cut));
    if (found !== '400 malformed-multipart') wrong.set(cut, found);
  }
  t.strictSame(wrong, new Map());
  const large = multipart(
    { fileName: 'a', content: Buffer.alloc(700_000) },
    { fileName: 'b', content: Buffer.alloc(700_000) },
  );
  for (const cut of [600_000, 700_100, 1_000_000, large.length - 4]) {
    t.equal(await send(large.subarray(0, cut)), '400 malformed-multipart');
    t.equal(await sendChunked(large.subarray(0, cut)), '400 malformed-multipart');
  }
  t.equal(filesOn(node.storePath).length, before);
});

// Seen to fail (201) without the comparison with the first boundary in multipart.ts.
t.test('bodies that are no multipart at all are 400', async (t) => {
  const bodies = ['', 'x', '\r\n', '--', `--${BOUNDARY}`, `--${BOUNDARY}--`, '{"json":true}', `${BOUNDARY}\r\n\r\n`];
  bodies.push(String(multipart({ fileName: 'a', content: 'x' })).replace(BOUNDARY, 'x'.repeat(BOUNDARY.length)));
  const found: string[] = [];
  for (const body of bodies) found.push(await send(Buffer.from(body)), await sendChunked(Buffer.from(body)));
  t.strictSame(
    found.filter((one) => !/^400 (malformed-multipart|no-file)$/.test(one)),
    [],
  );
  t.equal(await send(Buffer.alloc(2 ** 20, 'x')), '400 malformed-multipart');
});

// Seen to fail without the 'filesLimit' listener.
// Seen to fail (201, the delimiter being content of a file) with the delimiter looked for from `start` on in multipart.ts.
t.test('a delimiter right behind the headers ends the part, whatever the size of the body', async (t) => {
  const part = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="b"\r\n\r\n`;
  for (const end of [`--${BOUNDARY}--\r\n`, `--${BOUNDARY}--\r\n\r\nx\r\n--${BOUNDARY}--\r\n`]) {
    // Larger ones are streamed.
    for (const behind of ['', 'x'.repeat(2 ** 20)]) {
      t.equal(await send(Buffer.from(part + end + behind)), '400 malformed-multipart');
    }
  }
});

t.test('1,000 files go into one request, 1,001 do not, and then none is kept', async (t) => {
  const answer = await node.post(multipart(...many(1000, 'a.txt')), '', MULTIPART);
  t.equal(new Set(uploadedOf(answer).map((file) => file.id)).size, 1000);
  const before = filesOn(node.storePath).length;
  t.equal(await send(multipart(...many(1001, 'a.txt'))), '400 too-many-files');
  t.equal(await sendChunked(multipart(...many(1001, 'a.txt'))), '400 too-many-files');
  t.equal(await send(multipart(...many(5000, ''))), '400 too-many-files');
  t.equal(filesOn(node.storePath).length, before);
});

t.test('a thousand text fields, and more, are passed over', async (t) => {
  for (const count of [1000, 5000]) {
    const answer = await node.post(multipart(...many(count), { fileName: 'a', content: 'the file' }), '', MULTIPART);
    t.strictSame(
      uploadedOf(answer).map((file) => file.size),
      [8],
    );
  }
});

// Seen to fail without the comparison of partsSeen: the good file was 201 and the bad one lost.
t.test('one bad part among good ones is 400, and none is kept', async (t) => {
  const before = filesOn(node.storePath).length;
  const part = (headers: string, content: string) => `--${BOUNDARY}\r\n${headers}\r\n\r\n${content}\r\n`;
  const disposition = 'Content-Disposition: form-data; name="a"; filename=';
  const good = part(`${disposition}"a.txt"`, 'good');
  const bad = [
    part('Content-Type: text/plain', 'no disposition'),
    part('Content-Disposition: attachment; filename="a.txt"', 'not form-data'),
    part(`${disposition}"a\nb.txt"`, 'a bare line break'),
    part(`X-Long: ${'x'.repeat(20_000)}\r\n${disposition}"a.txt"`, 'the disposition too late'),
    `--${BOUNDARY}\r\n${disposition}"a.txt"\r\n`,
  ];
  const found: string[] = [];
  for (const one of bad) {
    for (const parts of [good + one, one + good]) {
      const body = Buffer.from(`${parts}--${BOUNDARY}--\r\n`);
      found.push(await send(body), await sendChunked(body));
    }
  }
  t.strictSame([...new Set(found)], ['400 malformed-multipart']);
  t.equal(filesOn(node.storePath).length, before);
});

t.test('a part with 1 MB of headers does no harm: its file comes whole, or it is 400', async (t) => {
  const before = filesOn(node.storePath).length;
  const long = `X-Long: ${'x'.repeat(2 ** 20)}\r\n`;
  const manyLines = 'X-Many: y\r\n'.repeat(100_000);
  const disposition = 'Content-Disposition: form-data; name="a"; filename="a.txt"\r\n';
  const body = (headers: string) => Buffer.from(`--${BOUNDARY}\r\n${headers}\r\nthe file\r\n--${BOUNDARY}--\r\n`);
  let kept = 0;
  for (const headers of [long + disposition, disposition + long, manyLines + disposition, disposition + manyLines]) {
    for (const chunked of [false, true]) {
      const whole = body(headers);
      const answer = await node.post(chunked ? Readable.from([whole], { objectMode: false }) : whole, '', MULTIPART);
      if (answer.status !== 201) {
        t.equal(outcome(answer), '400 malformed-multipart');
        continue;
      }
      const [file] = uploadedOf(answer);
      t.equal((await node.get(file?.id ?? '')).body.toString(), 'the file');
      kept++;
    }
  }
  t.equal(filesOn(node.storePath).length, before + kept);
});

t.test('hostile file names give an extension at most, and lead nowhere', async (t) => {
  const names = [
    '../../etc/passwd',
    '..\\\\..\\\\x',
    '/',
    '\\\\',
    '..',
    '.',
    '%00',
    'a\0b',
    '%2e%2e%2fx',
    'a/../../b.sh/',
  ];
  names.push(
    '\u202egpj.exe',
    'x'.repeat(10_000),
    `${'../'.repeat(1000)}x`,
    'a;b',
    "a'b",
    '$(id)',
    '`id`',
    '\x7f',
    'CON',
  );
  const wrong: string[] = [];
  for (const fileName of names) {
    const type = 'application/octet-stream';
    const answer = await node.post(multipart({ fileName, type, content: 'x' }), '', MULTIPART);
    const id = answer.status === 201 ? (uploadedOf(answer)[0]?.id ?? '') : '';
    const known = /^group1\/M00\/00\/[0-9A-F]{2}\/[\w-]{27}[\w.]{7}$/.test(id);
    if (!known || !filesOn(node.storePath).some((file) => file.endsWith(id.slice(10)))) {
      wrong.push(`${fileName.slice(0, 40)}: ${outcome(answer)} ${id}`);
    }
  }
  t.strictSame(wrong, []);
});

t.test('and afterwards the daemon lives and nothing is wrong on the disk', async (t) => {
  t.equal(node.daemonPid(), pid);
  await node.assertClean(t);
});
