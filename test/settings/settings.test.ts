import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { environmentName, loadSettings, SETTING_NAMES, SettingsError } from '../../daemon/config/settings.js';
import { TestNode } from '../helpers/node.js';

/** For each key: a value in the file and its parsed form, and a value in the environment and its parsed form. */
const GOOD: Record<string, [inFile: unknown, meaning: unknown, inEnvironment: string, meaning: unknown]> = {
  data: ['/a b', '/a b', `it's {"c"};`, resolve(`it's {"c"};`)],
  storePaths: [['/a', '/b'], ['/a', '/b'], '/c, /d', ['/c', '/d']],
  listen: ['[::1]:80', { host: '::1', port: 80 }, '0.0.0.0:81', { host: '0.0.0.0', port: 81 }],
  daemonListen: ['h.example:1', { host: 'h.example', port: 1 }, '1.2.3.4:65535', { host: '1.2.3.4', port: 65535 }],
  group: ['pictures', 'pictures', 'g-_1', 'g-_1'],
  serverId: [7, 7, '16777215', 16777215],
  key: ['of-the-file-0123456', 'of-the-file-0123456', 'of-the-environment-0', 'of-the-environment-0'],
  publicUrl: ['https://a.example/', 'https://a.example', 'http://b.example/x', 'http://b.example/x'],
  uploads: ['open', 'open', 'key', 'key'],
  downloads: ['open', 'open', 'open', 'open'],
  downloadKey: [
    ['d'.repeat(16)],
    ['d'.repeat(16)],
    `${'d'.repeat(16)}, ${'e'.repeat(16)}`,
    ['d'.repeat(16), 'e'.repeat(16)],
  ],
  activeTypes: ['inline', 'inline', 'attachment', 'attachment'],
  charset: ['GB18030', 'GB18030', 'off', 'off'],
  gzip: ['off', 'off', 'on', 'on'],
  workers: [3, 3, 'auto', 'auto'],
  metricsFrom: [['10.0.0.0/8'], ['10.0.0.0/8'], '10.1.1.1,fd00::/8', ['10.1.1.1', 'fd00::/8']],
  maxFileSize: ['1.5KiB', 1536, '5', 5],
  reserve: ['10%', { share: 0.1 }, '1GiB', { bytes: 2 ** 30 }],
  sync: ['file', 'file', 'off', 'off'],
  peers: [
    [{ id: 2, group: 'group1', url: 'http://b:8080' }],
    [{ id: 2, group: 'group1', url: 'http://b:8080' }],
    '3@g2=https://c.example/, 4@group1=http://[::1]:81',
    [
      { id: 3, group: 'g2', url: 'https://c.example' },
      { id: 4, group: 'group1', url: 'http://[::1]:81' },
    ],
  ],
  peerSecret: ['of-the-file-0123456', 'of-the-file-0123456', 'of-the-environment-0', 'of-the-environment-0'],
  copies: [1, 1, '1', 1],
  copyTimeout: ['1m', 60_000, '1.5s', 1500],
  maxLag: ['2h', 7_200_000, '20ms', 20],
  repairInterval: ['1d', 86_400_000, '5 m', 300_000],
  repairRate: ['1MiB/s', 2 ** 20, '500/s', 500],
  scrubDays: [0, 0, '0.5', 0.5],
  alertUrl: ['https://a.example/x?y', 'https://a.example/x?y', 'http://b.example', 'http://b.example'],
  deduplicate: [false, false, 'false', false],
  readOnly: [true, true, 'true', true],
  legacy: [
    { group2: 'http://10.0.0.9:8888' },
    [{ group: 'group2', url: 'http://10.0.0.9:8888' }],
    'g3=http://localhost/, g4=http://[::1]:81',
    [
      { group: 'g3', url: 'http://localhost' },
      { group: 'g4', url: 'http://[::1]:81' },
    ],
  ],
  seeking: ['off', 'off', 'on', 'on'],
  notFoundImage: ['/a b.jpg', '/a b.jpg', 'c.png', resolve('c.png')],
  urlHasGroup: [false, false, 'false', false],
  corsOrigins: [
    ['https://a.example'],
    ['https://a.example'],
    'https://a.example,http://b.example:8080',
    ['https://a.example', 'http://b.example:8080'],
  ],
  corsDownloads: ['*', ['*'], 'https://a.example', ['https://a.example']],
  pictures: [
    { thumb: { width: 100 } },
    { thumb: { width: 100, fit: 'cover', quality: 80 } },
    '{"a-1":{"height":8192,"fit":"inside","quality":1}}',
    { 'a-1': { height: 8192, fit: 'inside', quality: 1 } },
  ],
  pictureCache: ['2MiB', 2 ** 21, '1048576', 2 ** 20],
  pictureProcesses: [3, 3, '1', 1],
  picturePixels: [1_000_000, 1_000_000, '25000000', 25_000_000],
  fastdfsTokenKey: ['FastDFS1234567890', 'FastDFS1234567890', ' a "$b" ü ', 'a "$b" ü'],
  fastdfsTokenTtl: ['15m', 900_000, '900s', 900_000],
  fastdfsTokenFailImage: ['/a b.jpg', '/a b.jpg', 'c.png', resolve('c.png')],
  fastdfsTokenStrict: [true, true, 'true', true],
  fastdfsTracker: ['0.0.0.0:22122', { host: '0.0.0.0', port: 22122 }, '[::]:1', { host: '::', port: 1 }],
  fastdfsStorage: ['0.0.0.0:23000', { host: '0.0.0.0', port: 23000 }, '[::]:1', { host: '::', port: 1 }],
  fastdfsFrom: [['10.0.0.0/8'], ['10.0.0.0/8'], '::1, 10.0.0.1', ['::1', '10.0.0.1']],
  fastdfsAddress: ['10.0.0.1', '10.0.0.1', 'fd00::1', 'fd00::1'],
  fastdfsAddressWidth: ['ipv6', 'ipv6', 'ipv6', 'ipv6'],
  nats: [
    ['10.0.0.5', 'nats://a.example:4222/'],
    ['nats://10.0.0.5', 'nats://a.example:4222'],
    'tls://a:1, tls://[::1]:2',
    ['tls://a:1', 'tls://[::1]:2'],
  ],
  natsCredentials: ['/a.creds', '/a.creds', 'b', resolve('b')],
  natsCa: ['/ca.pem', '/ca.pem', 'ca', resolve('ca')],
  clusterName: ['photos', 'photos', 'A-_1', 'A-_1'],
  events: ['on', 'on', 'off', 'off'],
  eventUrl: ['https://a.example/x?y', 'https://a.example/x?y', 'http://b.example', 'http://b.example'],
  eventSecret: ['of-the-file-0123456', 'of-the-file-0123456', 'of-the-environment-0', 'of-the-environment-0'],
  eventBacklog: [1000, 1000, '100000000', 100_000_000],
};

/** Other settings that some need. */
const NEEDED: Record<string, Record<string, string>> = {
  peers: { FIDFS_KEY: 'k'.repeat(16), FIDFS_PEER_SECRET: 's'.repeat(16) },
  natsCredentials: { FIDFS_NATS: 'nats://a' },
  natsCa: { FIDFS_NATS: 'tls://a' },
  events: { FIDFS_NATS: 'nats://a' },
  eventUrl: { FIDFS_EVENT_SECRET: 's'.repeat(16) },
  eventSecret: { FIDFS_EVENT_URL: 'http://a' },
};

const DEFAULTS = {
  ...{ data: resolve('var'), storePaths: [resolve('var/store0')], group: 'group1', serverId: 1 },
  ...{ listen: { host: '127.0.0.1', port: 8080 }, daemonListen: { host: '127.0.0.1', port: 8081 } },
  ...{
    uploads: 'key',
    downloads: 'open',
    activeTypes: 'attachment',
    charset: 'utf-8',
    gzip: 'on',
    workers: 'auto',
    metricsFrom: [],
  },
  ...{ maxFileSize: 10 * 2 ** 30, reserve: { share: 0.05 }, sync: 'batch', peers: [], copies: 1 },
  deduplicate: true,
  readOnly: false,
  ...{ copyTimeout: 10_000, maxLag: 10_000, repairInterval: 3_600_000, repairRate: 100 * 2 ** 20, scrubDays: 14 },
  ...{ pictures: {}, pictureCache: 2 ** 30, picturePixels: 100_000_000 },
  pictureProcesses: Math.max(1, Math.floor(availableParallelism() / 2)),
  ...{ legacy: [], seeking: 'on', urlHasGroup: true, fastdfsTokenTtl: 600_000, fastdfsTokenStrict: false },
  ...{ corsOrigins: [], corsDownloads: ['*'] },
  fastdfsFrom: [
    ...['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'],
    ...['::1', 'fc00::/7', 'fe80::/10'],
  ],
  fastdfsAddressWidth: 'ipv4',
  ...{ nats: [], clusterName: 'fidfs', events: 'off', eventBacklog: 1_000_000 },
};

/** For each key: invalid values, and a part of the message about allowed ones. */
const WRONG: Record<string, [values: unknown[], allowed: string]> = {
  data: [['', 'a$b', 'a\nb', 'a\0', []], 'a path'],
  storePaths: [[[], 5, ['/a$'], ['/a', 5, true], {}], 'path'],
  listen: [['8080', 80, '1.2.3.4', '1.2.3.4:0', '1.2.3.4:65536', '[1.2.3.4]:80', true], 'host:port'],
  daemonListen: [['x', {}], 'host:port'],
  group: [['', 'a/b', 'upload', 'seventeen-letters', {}], '1 to 16 letters'],
  serverId: [[0, -1, 16777216, 1.5, 'x', true], '1 to 16777215'],
  key: [['short', 'with a space in it', 'x'.repeat(257), 1234567890123456], '16 to 256'],
  publicUrl: [['ftp://x', 'x', 5, 'http://x"', 'http://x:99999/'], 'http://'],
  uploads: [['OPEN', true], '"key" or "open"'],
  downloads: [['private', true], '"open" or "signed"'],
  downloadKey: [['short', 5, [], ['a b'.repeat(9)], 'x'.repeat(257)], '16 to 256 visible ASCII characters'],
  activeTypes: [['x', {}], '"attachment" or "inline"'],
  charset: [['', 'utf-8"', 'a b', '-x', 'x'.repeat(41), true], 'the name of an encoding'],
  gzip: [['yes', true, 1], '"on" or "off"'],
  workers: [[0, 'many', -1, 1025], '"auto" or a number'],
  metricsFrom: [['10.0.0.0/33', 'x', [5], {}, '::1/129'], 'a network'],
  maxFileSize: [['10GB', -1, 'x', true], 'KiB'],
  reserve: [['100%', '-1', 'x%', {}], '5%'],
  sync: [['yes', true], '"batch"'],
  peers: [
    [
      '2',
      '2@a/b=http://c',
      '0@g=http://c',
      '2@g=ftp://c',
      '2@g=http://c/path',
      [{ id: 2 }],
      [5],
      {},
      '2@g=http://c:99999',
    ],
    '2@group1=http',
  ],
  peerSecret: [['short', 'with a space in it', 1234567890123456], '16 to 256'],
  copies: [[0, 'two', -1], 'number'],
  copyTimeout: [['10', 10, '0s', '-1s', '30d', true], 'ms, s, m, h or d'],
  maxLag: [['x'], '10s'],
  repairInterval: [['x'], '10s'],
  repairRate: [['100MiB', '0/s', 'x/s', 5], '100MiB/s'],
  scrubDays: [['x', -1, true], 'days'],
  alertUrl: [['ftp://x', 'x', 5], 'http://'],
  deduplicate: [['yes', 1, [], ''], 'true or false'],
  readOnly: [['yes', 1], 'true or false'],
  legacy: [
    [
      'x',
      'g=10.0.0.9',
      'g=https://10.0.0.9',
      'g=http://old.example',
      'g=http://10.0.0.9/x',
      'a/b=http://10.0.0.9',
      5,
      { g: 5 },
    ],
    '{"group2":"http://10.0.0.9:8888"}',
  ],
  seeking: [['yes', true], '"on" or "off"'],
  notFoundImage: [['', 'a$b', []], 'a path'],
  urlHasGroup: [['no', 1], 'true or false'],
  corsOrigins: [['a.example', 'https://a.example/', 'https://a.example/x', 'null', 5, 'https://*.example'], 'origin'],
  corsDownloads: [['a.example', 'https://a.example/', 'ftp://a.example', true], 'origin'],
  pictures: [
    [
      5,
      'thumb',
      '[]',
      [],
      { 'Thumb/': { width: 1 } },
      { thumb: {} },
      { thumb: { width: 0 } },
      { thumb: { width: 8193 } },
      { thumb: { width: 1.5 } },
      { thumb: { width: '320' } },
      { thumb: { width: 320, fit: 'crop' } },
      { thumb: { width: 320, quality: 101 } },
      { thumb: { width: 320, blur: 5 } },
      { thumb: 320 },
      Object.fromEntries(Array.from({ length: 65 }, (_, number) => [`p${number}`, { width: 1 }])),
    ],
    'write ',
  ],
  pictureCache: [[0, '1023KiB', 'x', true], '1MiB'],
  pictureProcesses: [[0, 'auto', 257], 'from 1 to 256'],
  picturePixels: [[0, '1e9', 1_000_000_001], 'from 1 to 1000000000'],
  fastdfsTokenKey: [['', 'a\nb', 'x'.repeat(129), 5], '1 to 128 characters'],
  fastdfsTokenTtl: [['600', 600, 'x'], '10s'],
  fastdfsTokenFailImage: [['', 'a$b', []], 'a path'],
  fastdfsTokenStrict: [['yes', 1], 'true or false'],
  fastdfsTracker: [['22122', 'a b:1', 'a:0'], 'host:port'],
  fastdfsStorage: [['23000', 'a b:1', 'a:65536'], 'host:port'],
  fastdfsFrom: [[['10.0.0.0/33'], 'a'], 'an address or a network'],
  fastdfsAddress: [['files.example.com', '10.0.0', ''], 'an IP address'],
  fastdfsAddressWidth: [['auto', 6], '"ipv4" or "ipv6"'],
  nats: [['http://a', 'nats://user:password@a', 'a:b', 'nats://a/b', {}], 'natsCredentials'],
  natsCredentials: [['', 'a$b', []], 'a path'],
  natsCa: [['', 'a$b', []], 'a path'],
  clusterName: [['', 'a.b', 'a b', '>', 'x'.repeat(33)], '1 to 32 letters'],
  events: [['yes', true], '"on" or "off"'],
  eventUrl: [['ftp://x', 'x', 5, 'http://'], 'http://'],
  eventSecret: [['short', 'with a space in it', 'x'.repeat(257), 1234567890123456], '16 to 256'],
  eventBacklog: [[999, '1e6', 100_000_001], 'from 1000 to 100000000'],
};

t.test('every setting can be given in the file and in the environment, which wins', async (t) => {
  t.strictSame(Object.keys(GOOD), SETTING_NAMES, 'no setting is left out here');
  const file = join(t.testdir(), 'settings.json');
  for (const [key, [inFile, meant, inEnvironment, meantThere]] of Object.entries(GOOD)) {
    writeFileSync(file, JSON.stringify({ [key]: inFile }));
    const read = (environment: NodeJS.ProcessEnv) =>
      loadSettings(file, { ...NEEDED[key], ...environment })[key as 'data'];
    const got = [read({}), read({ [environmentName(key)]: inEnvironment }), read({ [environmentName(key)]: '' })];
    t.strictSame(got, [meant, meantThere, meant], key);
  }
});

t.test('without settings there are the documented defaults', async (t) => {
  t.strictSame(loadSettings(undefined, { HOME: '/root' }), DEFAULTS);
  t.strictSame(loadSettings(undefined, { FIDFS_DATA: '/x' }).storePaths, ['/x/store0']);
});

t.test('the file is that of --config, else that of FIDFS_CONFIG', async (t) => {
  const directory = t.testdir({ 'a.json': '{"group":"a"}', 'b.json': '{"group":"b"}' });
  const [a, b] = ['a.json', 'b.json'].map((name) => join(directory, name));
  t.equal(loadSettings(a, { FIDFS_CONFIG: b }).group, 'a');
  t.equal(loadSettings(undefined, { FIDFS_CONFIG: b }).group, 'b');
});

t.test('each wrong value is refused with a line that names the setting and says what is allowed', async (t) => {
  t.strictSame(Object.keys(WRONG), SETTING_NAMES, 'no setting is left out here');
  const file = join(t.testdir(), 'settings.json');
  const unclear: unknown[] = [];
  for (const [key, [values, allowed]] of Object.entries(WRONG)) {
    for (const value of values) {
      writeFileSync(file, JSON.stringify({ [key]: value }));
      const words = refusal(() => loadSettings(file, {}));
      if (!words.startsWith(`${key}: `) || !words.includes(allowed) || words.includes('\n')) {
        unclear.push([key, value, words]);
      }
      // Seen to fail with the value in the message, as for other settings.
      if (['key', 'peerSecret', 'eventSecret'].includes(key) && words.includes(String(value)))
        unclear.push(['shows the key', words]);
    }
  }
  t.strictSame(unclear, []);
});

t.test('settings that contradict each other are refused', async (t) => {
  const peers = '2@group1=http://b,3@group2=http://c';
  const good = { FIDFS_PEERS: peers, FIDFS_KEY: 'k'.repeat(16), FIDFS_PEER_SECRET: 's'.repeat(16) };
  const { copies } = loadSettings(undefined, good);
  t.equal(copies, 2, 'two copies in a group of two');
  t.match(
    refusal(() => loadSettings(undefined, { FIDFS_PEERS: peers })),
    /^key: with peers.*\npeerSecret: with peers/,
  );
  t.match(
    refusal(() => loadSettings(undefined, { ...good, FIDFS_SERVER_ID: '3' })),
    /^peers: 3 is the serverId of this/,
  );
  t.match(
    refusal(() => loadSettings(undefined, { ...good, FIDFS_COPIES: '3' })),
    /^copies: 3 copies need as many/,
  );
  t.match(
    refusal(() => loadSettings(undefined, { ...good, FIDFS_PEERS: '2@g=http://b,2@g=http://c' })),
    /^FIDFS_PEERS: an id is given twice/,
  );
  const alone: [environment: Record<string, string>, words: RegExp][] = [
    [{ FIDFS_EVENTS: 'on' }, /^events: with "on" they are sent to NATS/],
    [{ FIDFS_NATS_CREDENTIALS: '/a' }, /^natsCredentials: without nats/],
    [{ FIDFS_NATS: 'nats://a', FIDFS_NATS_CA: '/a' }, /^natsCa: without an address/],
    [{ FIDFS_NATS: 'nats://a,tls://b' }, /^nats: one of the addresses/],
    [{ FIDFS_EVENT_URL: 'http://a' }, /^eventSecret: with eventUrl it must be set/],
    [{ FIDFS_EVENT_SECRET: 's'.repeat(16) }, /^eventSecret: without eventUrl/],
    [
      { FIDFS_NATS: 'a', FIDFS_EVENTS: 'on', FIDFS_EVENT_URL: 'http://a', FIDFS_EVENT_SECRET: 's'.repeat(16) },
      /^eventUrl: with "events": "on"/,
    ],
  ];
  for (const [environment, words] of alone)
    t.match(
      refusal(() => loadSettings(undefined, environment)),
      words,
    );
});

t.test('a settings file that is not one is refused, and what it holds is not shown', async (t) => {
  const secret = 'a-secret-key-0123456789';
  const texts = [`{"key": ${secret}}`, `{"key": "${secret}"`, `"${secret}"`, `["${secret}"]`, 'null', ''];
  const file = join(t.testdir(), 'settings.json');
  const unclear: string[] = [];
  for (const text of texts) {
    writeFileSync(file, text);
    const words = refusal(() => loadSettings(file, {}));
    // Seen to fail with JSON.parse's own message, which quotes the text.
    if (!words.includes(file) || words.includes(secret.slice(0, 6))) unclear.push(words);
  }
  t.strictSame(unclear, []);
  t.match(
    refusal(() => loadSettings(join(file, 'x'), {})),
    /cannot read the settings file .*ENOTDIR/,
  );
});

t.test('wrong settings stop the start and every command with status 2, each named in a line', async (t) => {
  const file = join(t.testdir({ 'settings.json': '{"listen":"here","colour":"red","sync":"never"}' }), 'settings.json');
  const node = await TestNode.create(t, { env: { FIDFS_SYNC: 'sometimes', FIDFS_COLOR: 'blue', FIDFS_CONFIG: file } });
  const wanted = [/^fidfs: FIDFS_COLOR: no such setting; there are FIDFS_DATA, /m, /^colour: no such setting/m];
  wanted.push(/^FIDFS_SYNC: "sometimes" is not allowed; write "batch" or "file" or "off"$/m);
  for (const command of [['start'], ['status'], ['verify'], ['start', '--config', file]]) {
    const { status, stderr, stdout } = await node.command(...command);
    t.equal(status, 2, command.join(' '));
    t.same(wanted.filter((line) => !line.test(stderr)).map(String), [], 'names each', { stderr });
    t.equal(stdout, '');
  }
});

// Seen to fail without the case-insensitive comparison (SERVERID), and without a maximum distance (colour is taken for
// copies).
t.test('a setting that there is none of is answered with the one that may be meant', (t) => {
  const file = (key: string) => join(t.testdir({ 'settings.json': JSON.stringify({ [key]: 'x' }) }), 'settings.json');
  const cases: [action: () => unknown, words: string][] = [
    [() => loadSettings(undefined, { FIDFS_LISTN: 'x' }), 'FIDFS_LISTN: no such setting; did you mean FIDFS_LISTEN?'],
    [() => loadSettings(undefined, { FIDFS_STORAGE_PATHS: 'x' }), 'did you mean FIDFS_STORE_PATHS?'],
    [() => loadSettings(file('storepath'), {}), 'storepath: no such setting; did you mean storePaths?'],
    [() => loadSettings(file('SERVERID'), {}), 'SERVERID: no such setting; did you mean serverId?'],
    [() => loadSettings(file('max_file_size'), {}), 'did you mean maxFileSize?'],
    [() => loadSettings(file('colour'), {}), 'colour: no such setting; there are data, '],
    [() => loadSettings(undefined, { FIDFS_: 'x' }), 'FIDFS_: no such setting; there are FIDFS_DATA, '],
  ];
  for (const [action, words] of cases) t.match(refusal(action), words);
  t.end();
});

// Seen to fail without `refused` in `value`, and without the check of the current directory.
t.test('a value that is refused because of a character names that', (t) => {
  const file = (settings: object) => join(t.testdir({ 'settings.json': JSON.stringify(settings) }), 'settings.json');
  const cases: [settings: object, words: string][] = [
    [{ data: '/a$b' }, 'data: "/a$b" is not allowed because of "$"; write a path without control characters and $'],
    [{ data: '/a\nb' }, 'data: "/a\\nb" is not allowed because of U+000A; write a path'],
    [{ data: '/a\u007f' }, 'because of U+007F; write a path'],
    [{ storePaths: ['/a', '/b$'] }, 'storePaths: "/b$" is not allowed because of "$"; write a path without'],
    [{ group: 'a/b' }, 'group: "a/b" is not allowed because of "/"; write 1 to 16 letters'],
    [{ group: 'bücher' }, 'because of "ü"; '],
    [{ group: 'seventeen-letters' }, 'group: "seventeen-letters" is not allowed; write'],
    [{ listen: 'my_host:80' }, 'listen: "my_host:80" is not allowed because of "_"; write host:port'],
    [{ publicUrl: 'https://a/b?c' }, 'publicUrl: "https://a/b?c" is not allowed because of "?"; write a URL'],
    [{ charset: 'utf 8' }, 'charset: "utf 8" is not allowed because of " "; write'],
    [{ key: 'with a space in it' }, 'key: write 16 to 256 visible ASCII characters, and no " "'],
    [{ key: 'short' }, 'key: write 16 to 256 visible ASCII characters'],
    [{ key: '0123456789abcdef😀' }, 'and no "😀"'],
  ];
  for (const [settings, words] of cases) t.ok(refusal(() => loadSettings(file(settings), {})).includes(words), words);
  const { length } = refusal(() => loadSettings(file({ key: 'short' }), {}));
  t.equal(length, 'key: write 16 to 256 visible ASCII characters'.length, 'a short one holds no wrong one');
  const before = process.cwd();
  process.chdir(join(t.testdir({ a$b: {} }), 'a$b'));
  t.teardown(() => process.chdir(before));
  t.match(
    refusal(() => loadSettings(undefined, { FIDFS_DATA: 'var' })),
    /"var" is not allowed because of "\$" in \/.*a\$b\/var;/,
  );
  t.end();
});

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  return 'accepted';
}
