import t from 'tap';
import { problemOf } from '../helpers/assert-problem.js';
import { filesOn } from '../helpers/disk.js';
import { MULTIPART, multipart } from '../helpers/multipart.js';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

const node = await TestNode.start(t);

/** The extension in an ID: what follows the 27 characters of the key and the random digits. */
function extensionOf(id: string | undefined): string {
  return (id ?? '').replace(/^group1\/M00\/..\/..\/.{27}\d*/, '');
}

// Seen to fail with the whole file name taken for its last part, and with the extension in lower case.
t.test('the extension comes from ?ext, else from ?filename, else from the media type', async (t) => {
  const cases: [query: string, type: string, extension: string][] = [
    ['', '', ''],
    ['?ext=jpg', '', '.jpg'],
    ['?ext=JPeG', '', '.JPeG'],
    ['?ext=tar.gz', '', '.tar.gz'],
    ['?ext=TAR.GZ', '', '.TAR.GZ'],
    ['?ext=a1B2c3', '', '.a1B2c3'],
    ['?ext=', 'image/png', ''],
    ['?ext=gif&filename=a.png', 'image/jpeg', '.gif'],
    ['?filename=photo.PNG', 'image/jpeg', '.PNG'],
    ['?filename=a.b.c', '', '.c'],
    ['?filename=backup.tar.gz', '', '.tar.gz'],
    ['?filename=.tar.gz', '', '.gz'],
    ['?filename=/etc/passwd', '', ''],
    ['?filename=../../x.png', '', '.png'],
    ['?filename=a.png/b', '', ''],
    ['?filename=C:%5Cx.y%5Cz.JPG', '', '.JPG'],
    ['?filename=dir/.jpg', '', ''],
    ['?filename=dir%5C.jpg', '', ''],
    ['?filename=..', '', ''],
    ['?filename=.htaccess', '', ''],
    ['?filename=a.', '', ''],
    ['?filename=a.toolong', 'image/png', '.png'],
    ['?filename=a.j%20g', '', ''],
    ['?filename=%D1%84.jpg', '', '.jpg'],
    ['?filename=a.%D1%84', '', ''],
    ['', 'image/jpeg', '.jpg'],
    ['', 'Image/PNG; charset=utf-8', '.png'],
    ['', 'audio/mpeg', '.mp3'],
    ['', 'application/octet-stream', ''],
    // The type that curl --data-binary and others send for any body.
    ['?ext=jpg', 'application/x-www-form-urlencoded', '.jpg'],
    ['?filename=LICENSE', 'application/x-www-form-urlencoded', ''],
    ['?ext=json', 'application/json', '.json'],
    ['?filename=a.txt', 'application/json; charset=utf-8', '.txt'],
    ['?ext=', 'application/json', ''],
    ['', 'application/x-ndjson', '.ndjson'],
    ['', 'application/x-unheard-of', ''],
    ['', 'no media type', ''],
  ];
  const found: typeof cases = [];
  for (const [query, type] of cases) {
    const answer = await node.post(Buffer.from('x'), query, type === '' ? {} : { 'content-type': type });
    const [file] = uploadedOf(answer);
    const tail = (file?.id ?? '').length - 'group1/M00/00/00/'.length - 27;
    found.push([query, type, tail === 7 ? extensionOf(file?.id) : `a tail of ${tail} characters`]);
  }
  t.strictSame(found, cases);
});

t.test('the extension of a multipart file comes from its name, whatever path the client wrote', async (t) => {
  const cases: [name: string, type: string, extension: string][] = [
    ['a.jpg', 'image/png', '.jpg'],
    ['a.JPG', 'image/png', '.JPG'],
    ['a', 'image/png', '.png'],
    ['a.toolong', 'application/octet-stream', ''],
    ['../../x.png', 'application/octet-stream', '.png'],
    ['/a.b/c', 'application/octet-stream', ''],
    ['C:\\\\x.y\\\\z.gif', 'application/octet-stream', '.gif'],
    ['backup.tar.gz', 'application/gzip', '.tar.gz'],
    ['\u0444\u043e\u0442\u043e.jpg', 'image/jpeg', '.jpg'],
  ];
  const parts = cases.map(([fileName, type]) => ({ fileName, type, content: 'x' }));
  const files = uploadedOf(await node.post(multipart(...parts), '', MULTIPART));
  t.strictSame(
    files.map((file, number) => [cases[number]?.[0], cases[number]?.[1], extensionOf(file.id)]),
    cases,
  );
});

// Seen to fail when extensionFromParameter ignores an extension that does not fit.
t.test('an ?ext= that does not fit is 400, and nothing is kept', async (t) => {
  const before = filesOn(node.storePath).length;
  const unfit = ['toolong', '.jpg', 'a.b', 'tar.xz', 'j%20g', 'a%2fb', '..', '%00', '%C3%A9', '%ff', 'jpg&ext=png'];
  const outcomes = new Map<string, string>();
  for (const ext of unfit) outcomes.set(ext, outcome(await node.post(Buffer.from('x'), `?ext=${ext}`)));
  t.strictSame(
    outcomes,
    new Map(unfit.map((ext) => [ext, ext.includes('&') ? '400 bad-request' : '400 bad-extension'])),
  );
  t.equal(filesOn(node.storePath).length, before);
});

// Seen to fail without assertIsFile in upload.ts.
t.test(
  'the fields of a form, and JSON, are no files unless they are called so: 415, and nothing is kept',
  async (t) => {
    const before = filesOn(node.storePath).length;
    const types = ['application/x-www-form-urlencoded', 'Application/X-WWW-Form-Urlencoded; charset=UTF-8'];
    types.push('application/json', 'application/json;charset=utf-8', 'text/json', 'application/vnd.api+json');
    const wrong: unknown[] = [];
    for (const type of types) {
      for (const method of ['POST', 'PUT'] as const) {
        const headers = node.authorized({ 'content-type': type });
        const answer = await node.request('/upload', { method, body: '{"file":{}}', headers });
        const { detail } = problemOf(answer);
        const says = /multipart\/form-data/.test(detail) && /\?ext=/.test(detail);
        if (outcome(answer) !== '415 unsupported-media-type' || !says) wrong.push([type, outcome(answer), detail]);
      }
    }
    t.strictSame(wrong, []);
    t.equal(filesOn(node.storePath).length, before);
  },
);

t.test('and afterwards nothing is wrong on the disk', (t) => node.assertClean(t));
