import { readFileSync } from 'node:fs';
import t from 'tap';
import { Fields, parseHeader, WireError } from '../../daemon/fastdfs/codec.js';
import { parseExtension, parseGroup, parseName } from '../../daemon/fastdfs/names.js';
import { temporariesOn } from '../helpers/disk.js';
import { named, number, padded, WireClient } from '../helpers/fastdfs-client.js';
import { startWire } from '../helpers/fastdfs-server.js';
import { type Random, seeded } from '../helpers/random.js';

const MIB = 2 ** 20;
/** Set by longer runs. */
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 1500);
const PIECES = ['M00/', '/', '..', '\0', '-m', '%2f', 'group1', '\xff', '_s', '.txt', 'A'.repeat(40)];
const NUMBERS = [0n, 1n, -1n, 2n ** 31n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 1000n];

// Seen to fail (RangeError) without the check in Fields.take().
t.test('the codec reads any bytes, or throws a WireError', (t) => {
  const random = seeded(t);
  for (let round = 0; round < 20_000; round++) {
    const bytes = random.bytes(random.below(60));
    const fields = new Fields(bytes);
    try {
      if (bytes.length >= 10) {
        const { length } = parseHeader(bytes);
        if (length !== undefined && !(Number.isSafeInteger(length) && length >= 0)) t.fail(`a length of ${length}`);
      }
      for (let reads = random.below(6); reads > 0; reads--) {
        const read = random.pick([
          () => fields.byte(),
          () => fields.number('a number'),
          () => fields.number32(),
          () => fields.padded(random.below(20)),
          () => fields.exact(random.pick([0, 5, -1, 2 ** 53, Number.NaN])),
        ]);
        read();
      }
      const rest = fields.rest();
      fields.end();
      parseName(random.pick(['group1', rest.toString('latin1', 0, 16)]), rest.toString('latin1'));
      parseGroup(rest.toString('latin1'));
      parseExtension(rest.toString('latin1'));
    } catch (error) {
      if (!(error instanceof WireError)) t.fail(String(error), { bytes: bytes.toString('hex') });
    }
  }
  t.pass('all were read');
  t.end();
});

interface Request {
  command: number;
  body: Buffer;
  flags?: number;
}

/** A valid request about a file, of any command. */
function validRequest(random: Random, id: string, appender: string): Request {
  const data = random.bytes(random.pick([0, 1, 100, 5000]));
  const name = (of: string) => Buffer.from(of.slice(of.indexOf('/') + 1), 'latin1');
  const upload = Buffer.concat([Buffer.from([255]), number(data.length), padded('txt', 6), data]);
  const file = random.pick([id, appender]);
  const length = number(name(file).length);
  const slave = [padded(`_${random.below(1e6)}`, 16), padded('jpg', 6)];
  return random.pick<Request>([
    { command: 11, body: upload },
    { command: 23, body: upload },
    { command: 12, body: named(id.replace(/\d{3}\.txt$/, '000.txt')) },
    { command: 14, body: Buffer.concat([number(random.below(9)), number(random.below(9)), named(file)]) },
    { command: 15, body: named(file) },
    { command: 22, body: named(file), flags: random.below(4) },
    { command: 13, body: Buffer.concat([length, number(3), Buffer.from('O'), named(file), Buffer.from('a\x02b')]) },
    { command: 21, body: Buffer.concat([length, number(data.length), ...slave, name(file), data]) },
    { command: 24, body: Buffer.concat([length, number(data.length), name(file), data]) },
    { command: 34, body: Buffer.concat([length, number(0), number(data.length), name(file), data]) },
    { command: 36, body: Buffer.concat([length, number(random.below(100)), name(file)]) },
    { command: random.pick([101, 106, 75, 91, 95]), body: Buffer.alloc(0) },
    { command: random.pick([90, 92, 104, 107]), body: padded('group1', 16) },
    { command: random.pick([102, 103, 105]), body: named(file) },
    { command: random.pick([96, 97, 98]), body: Buffer.alloc(random.pick([3, 4, 8])) },
    { command: 69, body: Buffer.alloc(5) },
  ]);
}

/** The same with bytes changed, inserted and removed, and sometimes another command. */
function mutated(random: Random, { command, body, flags = 0 }: Request): Request {
  let bytes = body;
  for (let count = random.below(4); count > 0; count--) {
    const at = random.below(bytes.length + 1);
    const piece = random.pick([
      () => random.bytes(random.below(9)),
      () => Buffer.from(random.pick(PIECES), 'latin1'),
      () => number(random.pick(NUMBERS)),
    ])();
    // In place of as many bytes, so that the fields behind it stay where they are, or inserted.
    const removed = random.pick([piece.length, piece.length, 0, random.below(40)]);
    bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + removed)]);
  }
  const other = random.below(20) === 0 ? random.below(256) : command;
  return { command: other, body: bytes, flags: random.below(20) === 0 ? random.below(256) : flags };
}

const STATUSES = [0, 2, 17, 22];

t.test('mangled requests are answered or refused, never more than that', async (t) => {
  const random = seeded(t);
  const wire = await startWire(t, { env: { FIDFS_MAX_FILE_SIZE: '1MiB' } });
  const { node } = wire;
  const pid = node.daemonPid();
  const first = await wire.toStorage();
  const id = await first.upload(Buffer.from('the file'));
  const appender = await first.upload(Buffer.from('appender'), 'log', { command: 23 });
  const memory = () => 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  const tally = new Map<number, number>();
  let before = 0;
  const clients = new Map<number, WireClient>();
  for (let round = 0; round < ROUNDS; round++) {
    if (round === Math.floor(ROUNDS / 3)) before = memory();
    const request = mutated(random, validRequest(random, id, appender));
    const isTracker = request.command >= 69 && request.command !== 111;
    const port = isTracker !== (random.below(20) === 0) ? wire.trackerPort : wire.storagePort;
    let client = clients.get(port);
    if (!client?.isOpen) client = await WireClient.connect(port);
    clients.set(port, client);
    const { command, body, flags = 0 } = request;
    // It closes the connection, or might delete the file that is needed.
    if (command === 82 || (command === 12 && body.includes(id.slice(id.indexOf('/') + 1)))) continue;
    // Sometimes the length in the header is another one; then the end of the request is not known, and the connection is left.
    const lies = random.below(15) === 0;
    if (lies) {
      client.send(command, body, { flags, length: random.pick([...NUMBERS, BigInt(body.length + 1)]) });
      client.socket.end();
      await client.closed();
      continue;
    }
    const { status } = await client.ask(command, body, { flags });
    tally.set(status, (tally.get(status) ?? 0) + 1);
    if (!STATUSES.includes(status)) t.fail(`status ${status}`, { command, body: body.toString('hex').slice(0, 400) });
  }
  for (const client of clients.values()) client.close();
  for (const status of [0, 22]) t.ok((tally.get(status) ?? 0) > ROUNDS / 20, 'both happen', { tally });
  t.ok(memory() < before + 80 * MIB, `${(memory() - before) / MIB} MiB more`);
  t.equal(node.daemonPid(), pid, 'the daemon lives');
  t.equal((await (await wire.toStorage()).download(id)).body.toString(), 'the file');
  await node.until(() => temporariesOn(node.storePath).length === 0, 'without temporary files');
  t.notMatch(node.log, '"level":50');
  await node.assertClean(t);
});
