import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { TestNode } from '../helpers/node.js';

t.test('download names', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('a picture'), '?ext=jpg');

  // Seen to fail without the replacement of quotes in contentDisposition, and without that of '()*.
  t.test('?download= names a file, as RFC 6266 and 5987 say', async (t) => {
    const names: [query: string, ascii: string, extended: string][] = [
      ['photo.jpg', 'photo.jpg', 'photo.jpg'],
      ['my+photo%20of%20us.jpg', 'my photo of us.jpg', 'my%20photo%20of%20us.jpg'],
      ['%E7%85%A7%E7%89%87.jpg', '__.jpg', '%E7%85%A7%E7%89%87.jpg'],
      ['caf%C3%A9.jpg', 'caf_.jpg', 'caf%C3%A9.jpg'],
      ['a%22b%22.jpg', 'a_b_.jpg', 'a%22b%22.jpg'],
      ['a%22;+filename=b.exe', 'a_; filename=b.exe', 'a%22%3B%20filename%3Db.exe'],
      ["a'(b)*.jpg", "a'(b)*.jpg", 'a%27%28b%29%2A.jpg'],
      ['100%25.jpg', '100_.jpg', '100%25.jpg'],
      ['..%2F..%5Cetc.jpg', '.._.._etc.jpg', '.._.._etc.jpg'],
    ];
    const wrong: unknown[] = [];
    for (const parameter of ['download', 'filename']) {
      for (const [query, ascii, extended] of names) {
        const { status, headers, body } = await node.get(`/${id}?${parameter}=${query}`);
        const disposition = headers['content-disposition'];
        const wanted = `attachment; filename="${ascii}"; filename*=UTF-8''${extended}`;
        if (status !== 200 || disposition !== wanted || body.toString() !== 'a picture') {
          wrong.push({ parameter, query, status, disposition, wanted });
        }
      }
    }
    t.strictSame(wrong, []);
    // One character to njs's own engine, two to QuickJS: the ASCII form differs.
    const { headers } = await node.get(`/${id}?download=%F0%9F%98%80.jpg`);
    t.match(headers['content-disposition'], /^attachment; filename="_+\.jpg"; filename\*=UTF-8''%F0%9F%98%80\.jpg$/);
  });

  t.test('without a name, or with an empty one, a picture is shown', async (t) => {
    for (const query of ['', '?download=', '?filename=', '?other=x']) {
      const { status, headers } = await node.get(`/${id}${query}`);
      t.strictSame([status, headers['content-disposition']], [200, undefined], query);
    }
  });

  // Seen to fail without the look for control characters (FastDFS's module lets %0d%0a through), and (latin1, the
  // cut-off one) with the name as it came where it cannot be decoded.
  t.test('a name with control characters, or not in UTF-8, is 400', async (t) => {
    const refused = [
      'a%0d%0aSet-Cookie:x=1',
      '%0a',
      'a%00b',
      'a%1f',
      'a%7f',
      'a%C2%85',
      'a%E2%80%A8',
      'a%E2%80%AEgpj.exe',
    ];
    for (const name of [...refused, 'caf%E9', '%E7%85', '%zz', '%', 'a'.repeat(256)]) {
      for (const parameter of ['download', 'filename']) {
        const answer = await node.get(`/${id}?${parameter}=${name}`);
        assertProblem(t, answer, 400, 'bad-download-name', `${parameter}=${name.slice(0, 40)}`);
        t.equal(answer.headers['set-cookie'], undefined);
      }
    }
  });
});
