import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readKeys } from '../../daemon/config/keys.js';
import { startCluster } from '../helpers/cluster.js';
import { bearer, makeKey, usable } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

const PRIVATE = 0o600;

t.test('keys are made, listed and removed by the command, whether the node runs or not', async (t) => {
  const node = await TestNode.start(t);
  const file = join(node.data, 'keys.json');
  const sent = (key: string) => node.request('/upload', { method: 'POST', body: 'x', headers: bearer(key) });
  const add = async (...words: string[]) => {
    const { status, stdout, stderr } = await node.command('keys', 'add', ...words);
    t.equal(status, 0, stderr);
    t.match(stdout, /^[\w-]{32}\n$/);
    return { key: stdout.trim(), id: /\(([0-9a-f]{8})\)/.exec(stderr)?.[1] as string };
  };
  const web = await add('web', '--rights', 'upload,delete');
  const begun = performance.now();
  await usable(node, web.key);
  t.ok(performance.now() - begun < 5000);
  t.equal(statSync(file).mode & 0o777, PRIVATE);
  t.notMatch(readFileSync(file, 'utf8'), web.key, 'it is not in the file');

  // Two at once, for a change of the key.
  const second = await add('web', '--rights', 'upload');
  await usable(node, second.key);
  t.equal((await sent(web.key)).status, 201);
  const which = await node.command('keys', 'remove', 'web');
  t.match(which, { status: 1, stderr: /there are several: web \(/ });
  t.match(await node.command('keys', 'remove', 'web', '--id', web.id), { status: 0, stdout: /^removed web \(/ });
  await node.until(async () => (await sent(web.key)).status === 401, 'refusing the removed key');
  t.equal((await sent(second.key)).status, 201);

  await node.stop();
  const all = ['--groups', 'group1,group2', '--max-file-size', '10MiB', '--expires', '90d'];
  const signing = await add('signing', '-r', 'sign, upload', ...all);
  const listed = await node.command('keys', 'list');
  t.match(
    listed.stdout,
    /^NAME +ID +RIGHTS +GROUPS +LARGEST FILE +CREATED +EXPIRES\nweb +[0-9a-f]{8} +upload +all +- +\S+ +-\n/,
  );
  t.match(listed.stdout, /\nsigning +\S+ +upload,sign +group1,group2 +10\.0 MiB +\S+ +\d{4}-\d\d-\d\dT\d\d:\d\dZ\n$/);
  const json = JSON.parse((await node.command('keys', 'list', '--json')).stdout);
  t.match(json, [{ name: 'web' }, { name: 'signing', maxFileSize: 10 * 2 ** 20, groups: ['group1', 'group2'] }]);
  t.notMatch(JSON.stringify(json) + listed.stdout, signing.key, 'no key is shown again');
  t.notMatch(JSON.stringify(json), /sha256|secret/);
  const [, entry] = readKeys(node.data);
  t.equal(entry?.secret, signing.key, 'what signs tokens is kept');
  const days = (Date.parse(entry?.expires ?? '') - Date.now()) / 86_400_000;
  t.ok(days > 89.9 && days < 90.1);
  await node.start();
  t.equal((await sent(signing.key)).status, 201);
  t.equal(node.log.includes(signing.key) || node.log.includes(second.key), false);
  t.match(node.log, /"key":"web","id":"group1/);
});

// Seen to fail with writeSync, which writes what fits and returns its length.
t.test('keys that do not fit on the disk leave the file as it was', (t) => {
  const file = join(t.testdir({ 'keys.json': 'the keys of before' }), 'keys.json');
  const program =
    'const [, module, file] = process.argv; (await import(module)).writeSecretFile(file, "x".repeat(50_000));';
  // The limit of the size of a file, in blocks, ends writes as a full disk does.
  const limited = ['-c', 'ulimit -f 8 && exec "$0" "$@"', process.execPath, '--input-type=module', '-e', program];
  const module = new URL('../../daemon/config/secret-file.js', import.meta.url).href;
  const { status, stderr } = spawnSync('/bin/sh', [...limited, module, file], { encoding: 'utf8' });
  t.equal(status, 1);
  t.match(stderr, /EFBIG|ENOSPC/);
  t.equal(readFileSync(file, 'utf8'), 'the keys of before');
  t.notOk(existsSync(`${file}.new`));
  t.end();
});

t.test('wrong use is said, and adds nothing', async (t) => {
  const node = await TestNode.create(t);
  t.match(await node.command('keys', 'list'), { status: 1, stderr: /there is no .*data; name/ });
  await node.start();
  const cases: [words: string[], stderr: RegExp][] = [
    [['key', '-r', 'upload'], /"key" is the name of the key in the settings/],
    [['a b', '-r', 'upload'], /"a b" is not allowed as a name; write 1 to 64/],
    [['x'.repeat(65), '-r', 'upload'], /not allowed as a name/],
    [['web'], /required option '-r, --rights/],
    [['web', '-r', 'upload,fly'], /--rights: "fly" is not allowed; write one or more of upload, delete/],
    [['web', '-r', 'upload', '-g', 'group1,'], /--groups: "" is not allowed/],
    [['web', '-r', 'upload', '-m', '10MB'], /--max-file-size: "10MB" is not allowed/],
    [['web', '-r', 'upload', '-e', '2020-01-01'], /--expires: "2020-01-01" is not allowed; write a number with h or d/],
    [['web', '-r', 'upload', '-e', 'soon'], /--expires/],
    [['web', '-r', 'upload', '-e', '2999-02-29'], /--expires/],
  ];
  for (const [words, stderr] of cases)
    t.match(await node.command('keys', 'add', ...words), { status: 2, stdout: '', stderr });
  t.match(await node.command('keys', 'remove', 'web'), {
    status: 1,
    stderr: /there is no key web; "fidfs keys list" lists them\n/,
  });
  t.notOk(existsSync(join(node.data, 'keys.json')));
  const { stdout } = await node.command('keys', '--help');
  t.match(stdout, /add .*\n(?:.*\n)*.*list .*\n(?:.*\n)*.*remove /);
});

t.test('a file that is not valid changes nothing and is reported; at a start it is an error', async (t) => {
  const node = await TestNode.start(t);
  const file = join(node.data, 'keys.json');
  const key = makeKey(node, 'web', ['delete', 'upload']);
  await usable(node, key);
  const good = readFileSync(file, 'utf8');
  const send = () => node.request('/upload', { method: 'POST', body: 'x', headers: bearer(key) });
  for (const text of [good.slice(0, -20), '{"keys":[{}]}', good.replace('"upload"', '"fly"')]) {
    writeFileSync(file, text);
    await node.until(async () => (await node.command('status')).stdout.includes('keys: keys.json: '), 'alarmed');
    t.equal((await send()).status, 201, 'the keys of before are valid');
    writeFileSync(file, good);
    await node.until(async () => !(await node.command('status')).stdout.includes('keys: '), 'calm again');
  }
  t.match(node.log, /"alarm":"keys","subject":"keys.json".*the file of the named keys .* is not valid/);
  t.notMatch(node.log, JSON.parse(good).keys[0].sha256);
  chmodSync(file, 0o644);
  writeFileSync(file, `${good} `);
  await node.until(() => (statSync(file).mode & 0o777) === PRIVATE, 'private again');

  writeFileSync(file, 'not JSON');
  await node.stop();
  const from = node.log.length;
  await t.rejects(node.start(), /ended with 1/);
  t.match(
    node.log.slice(from),
    /the file of the named keys \S+keys\.json is not valid; put back a good copy of it, or delete it/,
  );
  t.match(await node.command('keys', 'list'), { status: 2, stderr: /not valid/ });
});

t.test('the status says which settings are others on another node', async (t) => {
  const nodes = await startCluster(t, { groups: ['group1', 'group2'] });
  const [first, second] = nodes as [TestNode, TestNode];
  const said = async () => (await first.command('status')).stdout;
  t.match(await said(), 'All is well.');
  const key = makeKey(first, 'web', ['upload']);
  await first.until(async () => /node 2 has other keys \(key, keys\.json\) than this node/.test(await said()), 'told');
  copyFileSync(join(first.data, 'keys.json'), join(second.data, 'keys.json'));
  await first.until(async () => /All is well/.test(await said()), 'equal again');
  t.equal(outcome(await second.request('/upload', { method: 'POST', body: 'x', headers: bearer(key) })), '201');
  await second.stop();
  second.configure({ FIDFS_FASTDFS_TOKEN_KEY: 'of the second alone', FIDFS_LEGACY: 'old=http://127.0.0.1:9' });
  await second.start();
  await first.until(
    async () => /node 2 has another fastdfsTokenKey and another legacy than/.test(await said()),
    'told',
  );
  const { stdout } = await first.command('status', '--json');
  t.notMatch(stdout, 'of the second alone');
  t.strictSame(JSON.parse(stdout).peers[0].differing, ['fastdfsTokenKey', 'legacy']);
});
