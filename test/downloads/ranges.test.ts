import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { type Answer, TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

/** The parts of a multipart/byteranges answer. */
function partsOf({ headers, body }: Answer): { range: string; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(String(headers['content-type']))?.[1];
  if (boundary === undefined) return [];
  const pieces = body.toString('latin1').split(`\r\n--${boundary}`).slice(1, -1);
  return pieces.map((piece) => {
    const end = piece.indexOf('\r\n\r\n');
    const range = /^content-range: (.*)$/im.exec(piece.slice(0, end).replaceAll('\r', ''))?.[1] ?? '';
    return { range, bytes: Buffer.from(piece.slice(end + 4), 'latin1') };
  });
}

t.test('downloads and their ranges', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(100_000);
  const { id } = await node.upload(content, '?ext=jpg');

  t.test('GET gives the bytes, HEAD the same headers without them', async (t) => {
    const got = await node.get(id);
    const head = await node.request(`/${id}`, { method: 'HEAD' });
    t.equal(got.status, 200);
    t.ok(got.body.equals(content), 'the bytes are those that were uploaded');
    t.match(got.headers, { 'content-length': '100000', 'content-type': 'image/jpeg', 'accept-ranges': 'bytes' });
    t.equal(head.status, 200);
    t.equal(head.body.length, 0);
    // undici closes the connection after a HEAD.
    const common = { date: '', connection: '' };
    t.strictSame({ ...head.headers, ...common }, { ...got.headers, ...common });
  });

  // Seen to fail with `max_ranges 0` in the location of downloads.
  t.test('a single range is 206 with its bytes', async (t) => {
    const ranges: [range: string, first: number, end: number][] = [
      ['bytes=0-0', 0, 1],
      ['bytes=10-19', 10, 20],
      ['bytes=99999-99999', 99_999, 100_000],
      ['bytes=99990-200000', 99_990, 100_000],
      ['bytes=5000-', 5000, 100_000],
      ['bytes=-7', 99_993, 100_000],
      ['bytes=-200000', 0, 100_000],
    ];
    for (let round = 0; round < 10; round++) {
      const first = random.below(100_000);
      const end = first + 1 + random.below(100_000 - first);
      ranges.push([`bytes=${first}-${end - 1}`, first, end]);
    }
    const wrong: unknown[] = [];
    for (const [range, first, end] of ranges) {
      const { status, headers, body } = await node.get(id, { range });
      const right = status === 206 && headers['content-range'] === `bytes ${first}-${end - 1}/100000`;
      if (!right || !body.equals(content.subarray(first, end))) wrong.push({ range, status, headers });
    }
    t.strictSame(wrong, []);
    const head = await node.request(`/${id}`, { method: 'HEAD', headers: { range: 'bytes=10-19' } });
    t.match(head, { status: 206, headers: { 'content-range': 'bytes 10-19/100000', 'content-length': '10' } });
  });

  // Seen to fail with `max_ranges 1` in the location of downloads.
  t.test('several ranges are one multipart answer', async (t) => {
    const answer = await node.get(id, { range: 'bytes=0-9,500-599,-5' });
    t.equal(answer.status, 206);
    t.strictSame(partsOf(answer), [
      { range: 'bytes 0-9/100000', bytes: content.subarray(0, 10) },
      { range: 'bytes 500-599/100000', bytes: content.subarray(500, 600) },
      { range: 'bytes 99995-99999/100000', bytes: content.subarray(99_995) },
    ]);
    t.equal(answer.headers['x-content-type-options'], 'nosniff');
  });

  // Seen to fail without 416 in the error pages, and (Cache-Control) without forgetCaching.
  t.test('a range beyond the end is 416 with the size, and no cache keeps that answer', async (t) => {
    for (const range of ['bytes=100000-', 'bytes=100000-100001', 'bytes=-0']) {
      const answer = await node.get(id, { range });
      assertProblem(t, answer, 416, 'range-not-satisfiable', range);
      t.equal(answer.headers['content-range'], 'bytes */100000', range);
      t.equal(answer.headers['cache-control'], undefined, range);
    }
  });

  t.test('a range in an unknown unit is passed over', async (t) => {
    const answer = await node.get(id, { range: 'lines=1-2' });
    t.equal(answer.status, 200);
    t.ok(answer.body.equals(content));
  });

  // Seen to fail with `if (length === 0) throw` in IncomingFile, and with another constant time of files.
  t.test('a file of 0 bytes is a file like any other', async (t) => {
    const empty = await node.upload(Buffer.alloc(0), '?ext=txt');
    const answer = await node.get(empty.id);
    t.match(answer, { status: 200, headers: { 'content-length': '0', etag: '"386d4380-0"' } });
    t.equal(answer.body.length, 0);
    const ranged = await node.get(empty.id, { range: 'bytes=0-' });
    t.match(ranged, { status: 200, headers: { 'content-length': '0' } }, 'a range of nothing is all of it');
    const unchanged = await node.get(empty.id, { 'if-none-match': '"386d4380-0"' });
    t.equal(unchanged.status, 304);
  });
});
