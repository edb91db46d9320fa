import t from 'tap';
import { temporariesOn } from '../helpers/disk.js';
import { TestNode } from '../helpers/node.js';
import { chunk, head, outcome, RawConnection } from '../helpers/raw.js';

const MIB = 2 ** 20;

/** Sends a byte (or a chunk with one byte) every second until the connection ends. */
function trickle(connection: RawConnection, byte: Buffer): void {
  const timer = setInterval(() => connection.write(byte), 1000);
  const stop = () => clearInterval(timer);
  connection.socket.on('close', stop).on('end', stop);
}

// A single test, because all cases wait for the same minute. Seen to fail without tooSlow() in body.ts.
t.test('a client whose body stops coming, or all but stops, is dropped; others upload meanwhile', async (t) => {
  const node = await TestNode.start(t);
  const pid = node.daemonPid();
  const begin = async (headers: Record<string, string | number>, body: Buffer) => {
    const connection = await RawConnection.open(t, node);
    connection.write(head(node, 'POST /upload', headers), body);
    return connection;
  };
  const some = Buffer.alloc(600_000);
  // Streamed uploads: one byte per second, with and without a temporary file; then uploads that send nothing more.
  const trickles = [
    await begin({ 'Transfer-Encoding': 'chunked' }, chunk(some)),
    await begin({ 'Transfer-Encoding': 'chunked' }, chunk('x')),
    await begin({ 'Content-Length': MIB }, some),
  ];
  for (const connection of trickles.slice(0, 2)) trickle(connection, chunk('x'));
  trickle(trickles[2] as RawConnection, Buffer.from('x'));
  const stalls = [
    await begin({ 'Transfer-Encoding': 'chunked' }, chunk(some)),
    await begin({ 'Content-Length': MIB }, some),
    await begin({ 'Content-Length': 1000 }, Buffer.from('x')),
  ];
  // Buffered by nginx: the daemon does not see the request.
  const gathered = await begin({ 'Content-Length': 1000 }, Buffer.from('x'));
  trickle(gathered, Buffer.from('x'));
  await node.until(() => temporariesOn(node.storePath).length === 4, 'taking four of them in');

  const ended = Promise.all([...trickles, ...stalls].map((connection) => connection.answer()));
  let over = false;
  void ended.then(() => {
    over = true;
  });
  const others: string[] = [];
  await node.until(
    async () => {
      others.push(outcome(await node.post(Buffer.from('of another client'))));
      others.push(outcome(await node.post(Buffer.alloc(MIB))));
      await new Promise((resolve) => setTimeout(resolve, 500));
      return over;
    },
    'rid of all of them',
    120,
  );
  t.strictSame([...new Set(others)], ['201'], 'others upload all the time');
  const outcomes = (await ended).map(outcome);
  t.strictSame(
    outcomes.filter((one) => one !== 'closed' && one !== '408 body-timeout'),
    [],
    { outcomes },
  );
  t.notOk(gathered.closed, 'a slow small body may take its time');
  gathered.destroy();
  await node.until(() => temporariesOn(node.storePath).length === 0, 'rid of what they left');
  t.equal(node.daemonPid(), pid);
  await node.assertClean(t);
});
