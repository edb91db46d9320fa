import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { ready, startAll } from '../helpers/cluster.js';
import { number, WireClient } from '../helpers/fastdfs-client.js';
import { TestNode } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';

/*
 * Requests and replies recorded from FastDFS 6.16.1, sent to a node again. Replies must be equal except for names, times, ports and
 * free space (VARYING), and for what docs/fastdfs.md names as a difference (DIFFERENCES).
 */

interface Step {
  what: string;
  to: 'tracker' | 'storage';
  cmd: number;
  headerStatus: number;
  /** Hexadecimal. */
  request: string;
  status: number;
  /** Hexadecimal; shortened at an ellipsis. */
  reply: string;
  replyLength: number;
}

const file = new URL('../../../test/vectors/fastdfs-wire.json', import.meta.url);
const { sessions }: { sessions: Record<string, Step[]> } = JSON.parse(readFileSync(file, 'utf8'));

const UPLOAD = 11;
const UPLOAD_APPENDER = 23;
const RENAME_APPENDER = 38;
/** Commands with a new name in the reply. */
const NAMING = [UPLOAD, UPLOAD_APPENDER, RENAME_APPENDER];
/** FastDFS listened there. */
const ADDRESS = '127.0.0.2';
/** The last digits of a name that the sessions expect not to exist. */
const MISSING_DIGITS = '999';
const IPV6_EXTRA = 30;
/** The beginning of a name, without the group. */
const NAME = /^M0[01]\/[0-9A-F]{2}\/[0-9A-F]{2}\/[\w-]{27}/;

interface Field {
  /** Offset in the reply; negative from its end. */
  at: number;
  length: number;
  what: string;
}

function field(at: number, length: number, what: string): Field {
  return { at, length, what };
}

/** Fields of a storage record of 487 bytes; `wider`: bytes that an IPv6 address adds. */
function storageRecord(wider: number): Field[] {
  const numbers = 58 + wider;
  return [
    field(1, 1, 'rwMode, which depends on free space'),
    field(34 + wider, 16, 'the id of the server that it was synchronised from'),
    field(50 + wider, 8, 'version'),
    field(numbers, 40, 'joinTime, upTime and space'),
    field(numbers + 56, 16, 'subdirsPerPath of the recording, and currentWritePath'),
    field(numbers + 80, 12, 'connection counts'),
    field(numbers + 92, 42 * 8, 'counters and times'),
  ];
}

const QUERY_STORE = [field(-1, 1, 'store path index: the storage server chooses it, whatever the client sends')];
const GROUP = [
  field(17, 32, 'space'),
  field(81, 8, 'currentWriteServer'),
  field(97, 8, 'subdirsPerPath of the recording'),
];
/** Fields of replies that are not compared, by command. */
const VARYING: Record<number, Field[]> = {
  22: [field(8, 8, 'creation time')],
  90: GROUP,
  91: GROUP,
  96: [field(16, 37, 'bytes behind the end of a text'), field(67, 8, 'version'), field(79, 4, 'start')],
  97: [
    field(15, 7, 'bytes behind the end of a text'),
    field(37, 38, 'bytes behind the end of a text, and flags of leaders'),
    field(88, 8, 'version'),
    field(100, 12, 'times'),
  ],
  98: [field(12, 10, 'bytes behind the end of a text'), field(22, 40, 'space')],
  101: QUERY_STORE,
  104: QUERY_STORE,
  106: QUERY_STORE,
  107: QUERY_STORE,
};

/** Values of the parameters (75) that differ. */
const PARAMETERS: Record<string, string> = {
  reserved_storage_space: 'the reserve is not told: it is a setting of each node',
};

/** Steps with another reply: what is expected instead, and why. */
const DIFFERENCES: Record<string, { reply: (recorded: Buffer) => Buffer; why: string }> = {
  'query fetch all of an old file: two': {
    reply: (recorded) => recorded.subarray(0, 39),
    why: 'clients disagree on the layout of further servers, and any node answers for all',
  },
};

/** Steps that FastDFS refuses with status 2, and that are answered with a name here, and why. */
const NAMED: Record<string, string> = {
  'again, the old name': 'a client that lost the reply to 38 would not learn the new name otherwise',
};

class Session {
  /** Parts of recorded names by ours. */
  private readonly names = new Map<string, string>();

  constructor(
    private readonly t: Test,
    private readonly clients: Record<Step['to'], WireClient>,
    /** Recorded ports by ours. */
    private readonly ports: ReadonlyMap<number, number>,
    private readonly isIPv6 = false,
  ) {}

  async replay(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.step(step);
  }

  /** Notes the name of a file of ours for a recorded one, as a whole and in the parts that requests are made of. */
  note(recorded: string, ours: string): void {
    const stem = (name: string) => name.replace(/\..*$/, '');
    const parts = (name: string) => [stem(name), stem(name).slice(4), stem(name).slice(10), name.slice(10, 37)];
    for (const [index, part] of parts(recorded).entries()) this.names.set(part, parts(ours)[index] ?? '');
  }

  private async step(step: Step): Promise<void> {
    const { what, to, cmd, status } = step;
    const recorded = Buffer.from(step.reply.replace('…', ''), 'hex');
    const name = NAMING.includes(cmd) ? recorded.toString('latin1', 16) : '';
    const client = this.clients[to];
    const request = this.translated(Buffer.from(step.request, 'hex'));
    let reply = await client.ask(cmd, request, { flags: step.headerStatus });
    // Without a store path a name means M00, and the digits 999 stand for a file that does not exist.
    const isSuitable = (ours: string) =>
      (ours.startsWith('M00/') || !name.startsWith('M00/')) && ours.slice(37, 40) !== MISSING_DIGITS;
    const isUpload = cmd === UPLOAD || cmd === UPLOAD_APPENDER;
    while (isUpload && status === 0 && reply.status === 0 && !isSuitable(reply.body.toString('latin1', 16)))
      reply = await client.ask(cmd, request);
    const title = `${to} ${cmd}: ${what}`;
    const isNamed = what in NAMED;
    this.t.equal(reply.status, isNamed ? 0 : status, `${title}: status`);
    if (isNamed) this.t.match(reply.body.toString('latin1', 16), NAME, `${title}: name`);
    else if (NAMING.includes(cmd) && status === 0) this.checkName(recorded, reply.body, title);
    else if (cmd === 75) this.checkParameters(recorded, reply.body);
    else this.checkBytes(step, recorded, reply.body, title);
    // Also after status 22, where FastDFS closes it.
    this.t.strictSame(await client.ask(111), { status: 0, body: Buffer.alloc(0) }, `${title}: the connection goes on`);
  }

  private checkName(recorded: Buffer, reply: Buffer, title: string): void {
    const [theirs, ours] = [recorded.toString('latin1', 16), reply.toString('latin1', 16)];
    this.note(theirs, ours);
    this.t.equal(reply.length, recorded.length, `${title}: length`);
    this.t.strictSame(reply.subarray(0, 16), recorded.subarray(0, 16), `${title}: group`);
    const shape = (name: string) => name.slice(37).replace(/^\d+/, (digits) => '0'.repeat(digits.length));
    this.t.equal(shape(ours), shape(theirs), `${title}: tail`);
    this.t.match(ours, NAME, `${title}: name`);
  }

  private checkParameters(recorded: Buffer, reply: Buffer): void {
    const lines = (text: Buffer) => String(text).replace(/^(\w+)=.*$/gm, (line, key) => (PARAMETERS[key] ? key : line));
    this.t.equal(lines(reply), lines(recorded), 'parameters');
  }

  private checkBytes({ what, cmd, replyLength, status }: Step, recorded: Buffer, reply: Buffer, title: string): void {
    const difference = DIFFERENCES[what];
    let wanted = this.translated(recorded);
    let length = replyLength;
    if (difference) {
      wanted = difference.reply(wanted);
      length = wanted.length;
    }
    this.t.equal(reply.length, length, `${title}: length`);
    const found = Buffer.from(reply.subarray(0, wanted.length));
    if (found.length < wanted.length) return;
    for (const { at, length } of status === 0 ? this.varying(cmd, wanted.length) : []) {
      // A recording may be shortened in the middle of a field.
      const start = at < 0 ? wanted.length + at : Math.min(at, wanted.length);
      const end = Math.min(start + length, wanted.length);
      for (const bytes of [found, wanted]) bytes.fill(0, start, end);
    }
    this.t.equal(found.toString('hex'), wanted.toString('hex'), `${title}: bytes`);
  }

  private varying(cmd: number, length: number): Field[] {
    if (cmd !== 92) return VARYING[cmd] ?? [];
    const wider = this.isIPv6 ? IPV6_EXTRA : 0;
    const fields: Field[] = [];
    for (let start = 0; start < length; start += 487 + wider)
      fields.push(...storageRecord(wider).map((one) => ({ ...one, at: start + one.at })));
    return fields;
  }

  /** Recorded bytes with the names and ports of this run. */
  private translated(bytes: Buffer): Buffer {
    const pairs = [...this.names].sort(([one], [other]) => other.length - one.length);
    let text = bytes.toString('latin1');
    for (const [recorded, ours] of pairs) text = text.replaceAll(recorded, ours);
    for (const [recorded, ours] of this.ports) {
      text = text.replaceAll(number(recorded).toString('latin1'), number(ours).toString('latin1'));
      text = text.replaceAll(`${ADDRESS}:${recorded}`, `${ADDRESS}:${ours}`);
    }
    return Buffer.from(text, 'latin1');
  }
}

interface Serving {
  node: TestNode;
  tracker: number;
  storage: number;
}

async function create(t: Test, env: Record<string, string> = {}): Promise<Serving> {
  const [tracker, storage] = [await freePort(), await freePort()];
  const addresses = { FIDFS_FASTDFS_TRACKER: `${ADDRESS}:${tracker}`, FIDFS_FASTDFS_STORAGE: `${ADDRESS}:${storage}` };
  // A duplicate would go to the store path of the first file with its bytes, however often it is sent.
  const node = await TestNode.create(t, { env: { ...addresses, FIDFS_DEDUPLICATE: 'false', ...env } });
  node.configure({ FIDFS_STORE_PATHS: `${node.directory}/a,${node.directory}/b` });
  return { node, tracker, storage };
}

async function connected(t: Test, { tracker, storage }: Serving): Promise<Record<Step['to'], WireClient>> {
  const clients = {
    tracker: await WireClient.connect(tracker, ADDRESS),
    storage: await WireClient.connect(storage, ADDRESS),
  };
  t.teardown(() => {
    for (const client of Object.values(clients)) client.close();
  });
  return clients;
}

t.test('one storage server, IPv4', async (t) => {
  const serving = await create(t);
  await serving.node.start();
  await ready(serving.node);
  const ports = new Map([
    [21400, serving.tracker],
    [21401, serving.storage],
  ]);
  const clients = await connected(t, serving);
  const session = new Session(t, clients, ports);
  const id = await clients.storage.upload(Buffer.from('123456789'));
  session.note('M00/00/06/fwAAAmsHZQSAOonvAAAACcv0OSY158.txt', id.slice(id.indexOf('/') + 1));
  await session.replay(sessions['one storage, IPv4'] ?? []);
  await serving.node.assertClean(t);
});

t.test('addresses of the width of IPv6', async (t) => {
  const serving = await create(t, { FIDFS_FASTDFS_ADDRESS_WIDTH: 'ipv6' });
  await serving.node.start();
  await ready(serving.node);
  const clients = await connected(t, serving);
  const session = new Session(t, clients, new Map([[21461, serving.storage]]), true);
  const id = await clients.storage.upload(Buffer.from('hello world'));
  session.note('M00/00/01/fwAAAmsHZQWAKpKZAAAACw1KEYU251.txt', id.slice(id.indexOf('/') + 1));
  await session.replay(sessions['response_ip_addr_size = IPv6'] ?? []);
});

t.test('two storage servers with ids', async (t) => {
  const env = { FIDFS_PEER_SECRET: 'peer-secret-0123456789', FIDFS_FASTDFS_ADDRESS: ADDRESS };
  const first = await create(t, { ...env, FIDFS_SERVER_ID: '100001' });
  const second = await create(t, { ...env, FIDFS_SERVER_ID: '100002' });
  first.node.configure({ FIDFS_PEERS: `100002@group1=${second.node.origin}` });
  second.node.configure({ FIDFS_PEERS: `100001@group1=${first.node.origin}` });
  await startAll([first.node, second.node]);
  const ports = new Map([
    [21441, first.storage],
    [21442, second.storage],
  ]);
  const clients = await connected(t, first);
  const session = new Session(t, clients, ports);
  const isNamed = async () => (await clients.tracker.get(106)).length === 63;
  await first.node.until(isNamed, 'aware that the second one takes uploads');
  await session.replay(sessions['two storages with ids'] ?? []);
});
