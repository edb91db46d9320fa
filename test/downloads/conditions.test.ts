import { Readable } from 'node:stream';
import t, { type Test } from 'tap';
import fileId from '../../file-id/file-id.js';
import { TestNode, type Uploaded } from '../helpers/node.js';

/** The HTTP date that is `seconds` after the ID's creation time. */
function dateOf(id: string, seconds = 0): string {
  return new Date((fileId.decode(id).created + seconds) * 1000).toUTCString();
}

/** A date in the two obsolete forms that servers must accept (RFC 9110, 5.6.7): RFC 850 and asctime. */
function obsoleteForms(date: string): [rfc850: string, asctime: string] {
  const [, day = '', number = '', month, year = '', time] = /^(\w+), (\d+) (\w+) (\d+) (\S+) GMT$/.exec(date) ?? [];
  const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
  const long = days.find((one) => one.startsWith(day));
  const padded = String(Number(number)).padStart(2, ' ');
  return [`${long}, ${number}-${month}-${year.slice(2)} ${time} GMT`, `${day} ${month} ${padded} ${time} ${year}`];
}

const DAY = 86_400;

t.test('conditional requests', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('0123456789'), '?ext=txt');
  // 386d4380 is 2000-01-01, the fixed modification time of all files, so that all nodes send the same ETag.
  const etag = '"386d4380-a"';
  const equal = dateOf(id);
  const older = dateOf(id, -1);
  const newer = dateOf(id, DAY);

  /** Sends each set of headers with GET and HEAD; lists the statuses that differ from the expected ones. */
  const check = async (t: Test, wanted: [headers: Record<string, string>, status: number][]) => {
    const wrong: unknown[] = [];
    for (const [headers, status] of wanted) {
      for (const method of ['GET', 'HEAD'] as const) {
        const answer = await node.request(`/${id}`, { method, headers });
        if (answer.status !== status) wrong.push({ method, headers, status: answer.status, wanted: status });
      }
    }
    t.strictSame(wrong, []);
  };

  // Seen to fail without futimesSync in StorePath.create (small files) and in IncomingFile.finish (large ones).
  t.test(
    'the ETag depends on the size alone, not on the node or the way in; Last-Modified is the second in the ID',
    async (t) => {
      const large = Buffer.alloc(600_000, 1);
      const streamed = await node.post(Readable.from([large.subarray(0, 7), large.subarray(7)]));
      const files: Uploaded[] = [
        await node.upload(Buffer.from('abcdefghij')),
        await node.upload(large),
        ...JSON.parse(streamed.body.toString()).files,
      ];
      for (const file of files) {
        const { headers } = await node.get(file.id);
        t.equal(headers.etag, `"386d4380-${file.size.toString(16)}"`);
        t.equal(headers['last-modified'], dateOf(file.id));
      }
    },
  );

  // Seen to fail with `etag off` in the location of downloads.
  t.test('If-None-Match', (t) =>
    check(t, [
      [{ 'if-none-match': etag }, 304],
      [{ 'if-none-match': `W/${etag}` }, 304],
      [{ 'if-none-match': `"other", ${etag}` }, 304],
      [{ 'if-none-match': '*' }, 304],
      [{ 'if-none-match': '"386d4380-b"' }, 200],
      // If-None-Match takes precedence over the date.
      [{ 'if-none-match': etag, 'if-modified-since': older }, 304],
      [{ 'if-none-match': '"other"', 'if-modified-since': newer }, 200],
    ]),
  );

  // Seen to fail without the rewrite to the location with `if_modified_since off` (older), and with `if_modified_since
  // exact` (equal, newer); the obsolete forms without their part in dateCondition.
  t.test('If-Modified-Since is compared with the second in the ID, not with the time of the file', async (t) => {
    await check(t, [
      [{ 'if-modified-since': older }, 200],
      [{ 'if-modified-since': dateOf(id, -400 * DAY) }, 200],
      [{ 'if-modified-since': equal }, 304],
      [{ 'if-modified-since': newer }, 304],
      [{ 'if-modified-since': 'yesterday' }, 200],
      ...obsoleteForms(older).map((date): [Record<string, string>, number] => [{ 'if-modified-since': date }, 200]),
    ]);
  });

  // Seen to fail with `if_modified_since exact`.
  t.test('a 304 has the headers that a cache needs, and no body', async (t) => {
    const { headers, body } = await node.get(id, { 'if-modified-since': equal });
    t.match(headers, { etag, 'last-modified': equal, 'cache-control': 'public, max-age=31536000, immutable' });
    t.equal(body.length, 0);
  });

  // Seen to fail without `failed` in dateCondition.
  t.test('If-Unmodified-Since', (t) =>
    check(t, [
      [{ 'if-unmodified-since': older }, 412],
      [{ 'if-unmodified-since': equal }, 200],
      [{ 'if-unmodified-since': newer }, 200],
      [{ 'if-unmodified-since': older, 'if-match': etag }, 200],
    ]),
  );

  // Seen to fail with `etag off` in the location of downloads.
  t.test('If-Match', (t) =>
    check(t, [
      [{ 'if-match': etag }, 200],
      [{ 'if-match': '*' }, 200],
      [{ 'if-match': `"other", ${etag}` }, 200],
      [{ 'if-match': '"other"' }, 412],
    ]),
  );

  // Seen to fail with `etag off`, and (the dates) without our own Last-Modified.
  t.test('If-Range gives the range of the same file, else the whole', (t) => {
    const range = 'bytes=2-4';
    return check(t, [
      [{ range, 'if-range': etag }, 206],
      [{ range, 'if-range': '"other"' }, 200],
      [{ range, 'if-range': equal }, 206],
      [{ range, 'if-range': older }, 200],
      [{ range, 'if-range': newer }, 200],
      [{ range, 'if-match': etag }, 206],
      [{ range, 'if-unmodified-since': equal }, 206],
      [{ range, 'if-modified-since': older }, 206],
      [{ range, 'if-modified-since': equal }, 304],
    ]);
  });

  // Seen to fail without Cache-Control in the location of the rewrite.
  t.test('a condition changes nothing else of the answer', async (t) => {
    const path = `/${id}?download=a.txt`;
    const plain = await node.get(path);
    const conditional = await node.get(path, { 'if-modified-since': older });
    t.strictSame({ ...conditional.headers, date: '' }, { ...plain.headers, date: '' });
    t.match(plain.headers, { 'content-disposition': /^attachment; filename="a.txt"/ });
  });

  // Seen to fail without the check for the file before the 412.
  t.test('a file that is not here is 404, whatever the condition', async (t) => {
    const { id: gone } = await node.upload(Buffer.from('soon gone'));
    await node.delete(gone);
    const wrong: unknown[] = [];
    for (const name of ['if-modified-since', 'if-unmodified-since', 'if-match', 'if-none-match', 'if-range']) {
      for (const value of [dateOf(gone, -1), dateOf(gone), '"386d4380-9"']) {
        const { status, headers } = await node.get(gone, { [name]: value });
        if (status !== 404 || headers['content-type'] !== 'application/problem+json')
          wrong.push({ name, value, status });
      }
    }
    t.strictSame(wrong, []);
  });

  // Seen to fail without the check of the method in dateCondition.
  t.test('If-Modified-Since is for GET and HEAD: a DELETE with it deletes', async (t) => {
    const file = await node.upload(Buffer.from('to be deleted'));
    const headers = node.authorized({ 'if-modified-since': dateOf(file.id, -1) });
    t.equal((await node.delete(file.id, headers)).status, 204);
  });
});
