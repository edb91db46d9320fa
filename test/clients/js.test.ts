import { createHash } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import t from 'tap';
import { linkQuery } from '../../daemon/config/signed-link.js';
import { failed, loadClient, refusing } from '../helpers/js-client.js';
import { Link } from '../helpers/link.js';
import { TestNode } from '../helpers/node.js';
import { plainJpeg } from '../helpers/pictures.js';
import { freePort } from '../helpers/ports.js';
import { seeded } from '../helpers/random.js';

const { Fidfs } = await loadClient();
const DOWNLOAD_KEY = 'download-key-0123456789abcdef';
const MEGABYTE = 2 ** 20;

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

t.test('the client for JavaScript', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t, {
    env: {
      FIDFS_DOWNLOADS: 'signed',
      FIDFS_DOWNLOAD_KEY: DOWNLOAD_KEY,
      FIDFS_PICTURES: '{"thumb":{"width":32,"height":32}}',
    },
  });
  const options = { servers: node.origin, key: node.key, downloadKey: DOWNLOAD_KEY };
  const fidfs = new Fidfs(options);
  const bytesOf = async (id: string) => Buffer.from(await (await fidfs.download(id)).arrayBuffer());

  t.test('stores data of every kind', async (t) => {
    const content = random.bytes(100_000);
    const path = join(node.directory, 'photo.jpg');
    writeFileSync(path, content);
    const kinds: [string, Parameters<typeof fidfs.upload>[0], Parameters<typeof fidfs.upload>[1]][] = [
      ['bytes', content, { name: 'a.jpg' }],
      ['an ArrayBuffer', new Uint8Array(content).buffer, { ext: 'jpg' }],
      ['a Blob', new Blob([content], { type: 'image/jpeg' }), {}],
      ['a File', new File([content], 'Grüße & mehr.jpg'), {}],
      ['a path', { path }, {}],
      ['a file stream', createReadStream(path), { ext: 'jpg' }],
      ['a stream with its size', Readable.from([content]), { name: 'a.jpg', size: content.length }],
      ['a web stream', new Blob([content]).stream(), { name: 'a.jpg' }],
      ['a File, resumably', new File([content], 'a.jpg'), { resumable: true }],
      ['a path, resumably', { path }, { resumable: true }],
    ];
    for (const [what, data, options] of kinds) {
      const moves: [number, number | undefined][] = [];
      const stored = await fidfs.upload(data, { ...options, onProgress: (...move) => moves.push(move) });
      const { id, url, size, created, crc32, sha256, copies } = stored;
      t.match(id, /^group1\/M00\/.*\.jpg$/, what);
      t.equal(url, `${node.origin}/${id}`, what);
      t.equal(size, content.length, what);
      t.ok((await bytesOf(id)).equals(content), what);
      const info = await fidfs.info(id);
      t.match(info, { id, created, crc32, size, kind: 'normal', source: { serverId: 1 } }, what);
      t.strictSame(sha256, options?.resumable ? undefined : hashOf(content), what);
      t.equal(copies, options?.resumable ? undefined : 1, what);
      t.equal(moves.at(-1)?.[0], content.length, `${what}: the progress ends with the size`);
    }
    const text = await fidfs.upload('Grüße', { name: 'a.txt' });
    t.equal(String(await bytesOf(text.id)), 'Grüße');
    const json = await fidfs.upload(new Blob(['{}'], { type: 'application/json' }), { name: 'a.json' });
    t.match(json.id, /\.json$/);
    t.match((await fidfs.upload(new Blob(['x'], { type: 'multipart/form-data; boundary=x' }))).size, 1);
    for (const resumable of [false, true]) {
      const { id } = await fidfs.upload('x', { name: `\ud800${'ü'.repeat(5000)}\udfff.pdf`, resumable });
      t.match(id, /\.pdf$/, 'a name of any length');
    }
    t.equal((await fidfs.upload('')).size, 0);
    t.equal((await fidfs.upload('', { resumable: true })).size, 0);
    t.equal(await failed(fidfs.upload({ path: `${path}.away` })), '0 unreadable');
    const torn = Readable.from(
      (async function* () {
        yield content;
        throw new Error('the disk is away');
      })(),
    );
    t.equal(await failed(fidfs.upload(torn, { ext: 'jpg' })), '0 unreadable');
  });

  t.test('deletes, and says what is there', async (t) => {
    const { id } = await fidfs.upload(random.bytes(3000), { ext: 'jpg' });
    const slave = await fidfs.upload(random.bytes(300), { ext: 'jpg', master: id, prefix: '_small' });
    t.equal(slave.id, id.replace('.jpg', '_small.jpg'));
    t.equal(await failed(fidfs.upload('x', { ext: 'jpg', master: id, prefix: '_small' })), '409 exists');
    t.match(await fidfs.stat(id), { id, size: 3000, kind: 'normal', ext: 'jpg', source: 1 });
    await fidfs.setMetadata(id, { title: 'Harbour' });
    t.strictSame(await fidfs.metadata(id), { title: 'Harbour' });
    t.strictSame(await fidfs.delete(id, { slaves: 'keep' }), { id, status: 'deleted' });
    t.equal(await fidfs.stat(id), undefined);
    t.strictSame(await fidfs.delete(id), { id, status: 'not-found' });
    t.match(await fidfs.stat([slave.id, id, '../x']), [
      { id: slave.id, status: 'stored' },
      { id, status: 'not-found' },
      { status: 'bad-id' },
    ]);
    const others = [`metadata/${id}`, `info/${id}`, 'tus/1-0123456789abcdef', 'console/api/status', `${id}\n`];
    for (const bad of ['../metrics', 'group1', 'group1/../x', 'a/b?c', '', ...others]) {
      t.equal(await failed(fidfs.delete(bad)), '0 bad-id', bad);
      t.equal(await failed(fidfs.download(bad)), '0 bad-id', bad);
    }
    const many = [slave.id, ...Array.from({ length: 1200 }, () => id)];
    const results = await fidfs.delete(many);
    t.strictSame(
      results.map(({ id, status }) => `${id} ${status}`),
      many.map((id) => `${id} ${id === slave.id ? 'deleted' : 'not-found'}`),
      'more than one request has',
    );
    t.strictSame(await fidfs.delete([]), []);
  });

  t.test('lists all files, page by page', async (t) => {
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) ids.push((await fidfs.upload(`${index}`, { ext: 'list' })).id);
    const listed: string[] = [];
    const from = new Date(Date.now() - 3_600_000);
    for await (const file of fidfs.list({ ext: 'list', pageSize: 2, order: 'oldest', from })) listed.push(file.id);
    t.strictSame(new Set(listed), new Set(ids));
    t.equal(listed.length, 5);
    for await (const file of fidfs.list({ to: from })) t.fail(`before that there is nothing, but ${file.id}`);
    t.equal(await failed(fidfs.list({ pageSize: 0 }).next()), '400 bad-request');
  });

  t.test('does not send what is there', async (t) => {
    const content = random.bytes(9 * MEGABYTE);
    const path = join(node.directory, 'film.mp4');
    writeFileSync(path, content);
    t.equal(await fidfs.uploadKnown({ path }), undefined);
    const first = await fidfs.upload({ path });
    t.equal(first.sha256, undefined, 'it was sent resumably');
    const known = await fidfs.uploadKnown({ path });
    t.match(known, { size: content.length, sha256: hashOf(content) });
    t.match(known?.id, /\.mp4$/);
    t.not(known?.id, first.id);
    t.match(await fidfs.uploadKnown(new File([content], 'b.mp4')), { sha256: hashOf(content) });
    const lie = { sha256: async () => hashOf(content), prove: async () => '0'.repeat(64) };
    t.equal(await fidfs.uploadKnown({ path }, { hasher: lie }), undefined, 'a wrong proof');
    t.equal(await fidfs.uploadKnown(Readable.from(['x'])), undefined, 'a stream');
  });

  t.test('makes links and tokens', async (t) => {
    const { id } = await fidfs.upload(await plainJpeg(64, 64), { ext: 'jpg' });
    const name = "Größe & 'x' (1).jpg";
    const expires = Math.floor(Date.now() / 1000) + 60;
    const link = await fidfs.signedUrl(id, { expires, download: name });
    t.equal(link, `${node.origin}/${id}${linkQuery(DOWNLOAD_KEY, { id, expires, download: name })}`);
    const answer = await fetch(link);
    t.equal(answer.status, 200);
    t.match(decodeURIComponent(answer.headers.get('content-disposition') ?? ''), name);
    t.equal((await fetch(fidfs.url(id, { download: name }))).status, 403);
    const picture = await fidfs.signedUrl(id, { for: '10m', preset: 'thumb' });
    t.equal((await fetch(picture)).status, 200);
    t.ok(picture.startsWith(fidfs.pictureUrl('thumb', id)));
    t.equal((await fetch(fidfs.pictureUrl('thumb', id))).status, 403);
    t.match(new Fidfs({ servers: 'http://a/x/', publicUrl: 'https://b/y/' }).url(id), `https://b/y/${id}`);
    await t.rejects(fidfs.signedUrl(id, { for: 'an hour' }), TypeError);
    t.equal(await failed(fidfs.signedUrl(id.replace('group1/', ''))), '0 bad-id', 'a short ID');
    for (const servers of ['127.0.0.1:8080', 'ftp://a', 'http://user@a', 'http://a?x', ''])
      t.throws(() => new Fidfs({ servers }), TypeError, servers);

    const token = await fidfs.uploadToken({ for: 600, maxSize: 1000, types: ['txt'] });
    const browser = new Fidfs({ servers: node.origin, key: () => token });
    t.match((await browser.upload('x', { ext: 'txt' })).id, /\.txt$/);
    t.match((await browser.upload('x', { ext: 'txt', resumable: true })).id, /\.txt$/);
    t.equal(await failed(browser.upload('x'.repeat(1001), { ext: 'txt' })), '413 too-large');
    const long = new Uint8Array(50 * MEGABYTE);
    t.equal(await failed(browser.upload(long, { ext: 'txt', resumable: false })), '413 too-large', 'before its end');
    t.equal(await failed(browser.upload('x', { ext: 'jpg' })), '415 type-not-allowed');
    t.equal(await failed(browser.delete(id)), '403 no-right');
    const ended = new Fidfs({ servers: node.origin, key: await fidfs.uploadToken({ expires: new Date(1000) }) });
    t.equal(await failed(ended.upload('x')), '401 wrong-token');
    t.equal(await failed(ended.upload('x', { resumable: true })), '401 wrong-token');
    t.equal(await failed(new Fidfs({ servers: node.origin }).upload('x')), '401 no-key');
  });

  t.test('uses the next server on 503 and without a connection', async (t) => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const busy = await refusing(t, 503, '30');
    const servers = [nobody, busy.url, node.origin];
    const several = () => new Fidfs({ ...options, servers });
    const client = several();
    const { id } = await client.upload('one', { ext: 'txt' });
    t.strictSame(busy.paths, ['POST /upload?ext=txt']);
    t.match(await client.stat(id), { size: 3 });
    t.equal(busy.paths.length, 1, 'it stays at the one that answers');
    t.match((await several().upload('two', { ext: 'txt', resumable: true })).id, /\.txt$/);
    t.match(await several().stat(id), { size: 3 });
    t.match((await several().list({ pageSize: 1 }).next()).value, { source: 1 });
    t.equal(await (await several().download(id)).text(), 'one');
    const before = busy.paths.length;
    const stream = () => Readable.from(['x']);
    t.equal(await failed(several().upload(stream(), { ext: 'txt' })), '0 network', 'a stream cannot be sent again');
    const passedOn = { method: 'POST', body: stream(), duplex: 'half' } as unknown as { method: string };
    t.equal(await failed(several().request('/upload?ext=txt', passedOn)), '0 network', 'nor one that is passed on');
    t.equal(busy.paths.length, before);
    t.match((await several().delete(id)).status, 'deleted');

    const alone = await refusing(t, 503, '0');
    const bounded = new Fidfs({ servers: alone.url, retries: 1 });
    const start = Date.now();
    t.equal(await failed(bounded.stat('a/b')), '503 unavailable');
    t.equal(alone.paths.length, 2, 'the rounds are bounded');
    t.ok(Date.now() - start >= 900, 'with a pause between them');
    const patient = await refusing(t, 503, '3600');
    t.equal(await failed(new Fidfs({ servers: patient.url }).stat('a/b')), '503 unavailable');
    t.equal(patient.paths.length, 1, 'an hour is not waited for');
    const wrong = await refusing(t, 400, '0');
    t.equal(
      await failed(new Fidfs({ servers: [wrong.url, node.origin] }).stat('a/b')),
      '400 unknown',
      'an answer is one',
    );
    const silent = await Link.open(t, () => node.port);
    silent.set('silent');
    const quick = new Fidfs({ ...options, servers: [silent.url, node.origin], timeout: 300 });
    t.equal(await quick.stat(id), undefined, 'a server that does not answer');
  });

  t.test('goes on with a large upload at the next server, and after an end of the program', async (t) => {
    const content = random.bytes(30 * MEGABYTE);
    const path = join(node.directory, 'large.bin');
    writeFileSync(path, content);
    const [one, two] = [await Link.open(t, () => node.port), await Link.open(t, () => node.port)];
    one.onSent = () => {
      if (one.sent > 12 * MEGABYTE) one.set('cut');
    };
    const client = new Fidfs({ ...options, servers: [one.url, two.url] });
    const { id } = await client.upload({ path });
    t.ok((await bytesOf(id)).equals(content));
    t.ok(two.sent < 25 * MEGABYTE, 'what was there is not sent again', { sent: two.sent });

    const stop = new AbortController();
    let resume = '';
    const upload = fidfs.upload(new Blob([content]), {
      ext: 'bin',
      signal: stop.signal,
      onResumable: (upload) => {
        resume = upload;
      },
      onProgress: (sent) => {
        if (sent > 10 * MEGABYTE) stop.abort(new Error('stopped'));
      },
    });
    await t.rejects(upload, { message: 'stopped' });
    const sent: number[] = [];
    t.ok(
      (await bytesOf((await fidfs.upload(content.subarray(1), { resume })).id)).equals(content.subarray(1)),
      'other data',
    );
    const later = await fidfs.upload({ path }, { resume, onProgress: (bytes) => sent.push(bytes) });
    t.ok((await bytesOf(later.id)).equals(content));
    t.ok((sent[0] ?? 0) >= 8 * MEGABYTE, 'from where it was', { sent });
    t.equal((await fidfs.upload({ path }, { resume: '/tus/1-00000000000000000000000000000000' })).size, content.length);

    const again = new AbortController();
    await t.rejects(
      fidfs.upload(content, {
        signal: again.signal,
        onResumable: (upload) => {
          resume = upload;
          again.abort();
        },
      }),
      { name: 'AbortError' },
    );
    await fidfs.cancel(resume);
    t.match(await failed(fidfs.cancel(resume)), /^(404|410) /);
  });

  t.test('stops when it is told to', async (t) => {
    const aborted = AbortSignal.abort(new Error('no'));
    await t.rejects(fidfs.upload('x', { signal: aborted }), { message: 'no' });
    await t.rejects(fidfs.stat('a/b', { signal: aborted }), { message: 'no' });
    const silent = await Link.open(t, () => node.port);
    silent.set('silent');
    const client = new Fidfs({ ...options, servers: silent.url });
    const waiting = () => ({ signal: AbortSignal.timeout(100) });
    await t.rejects(client.upload('x', waiting()), { name: 'TimeoutError' });
    await t.rejects(client.upload('x', { ...waiting(), resumable: true }), { name: 'TimeoutError' });
    await t.rejects(client.upload(Readable.from(['x']), waiting()), { name: 'TimeoutError' });
    await t.rejects(client.stat('a/b', waiting()), { name: 'TimeoutError' });
    const busy = await refusing(t, 503, '20');
    const start = Date.now();
    await t.rejects(new Fidfs({ servers: busy.url }).stat('a/b', waiting()), { name: 'TimeoutError' }, 'in a pause');
    t.ok(Date.now() - start < 15_000, 'which ends then');
  });
});
