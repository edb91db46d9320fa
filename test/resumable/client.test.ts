import t, { type Test } from 'tap';
import { Upload } from 'tus-js-client';
import { Link } from '../helpers/link.js';
import { TestNode } from '../helpers/node.js';
import { type Random, seeded } from '../helpers/random.js';

const SIZE = 100 * 2 ** 20;
const CUTS = 10;
const KILLS = 2;

/** The events that end an upload's connection, in order, each after a random number of bytes. */
function trouble(random: Random): { at: number; what: 'cut' | 'kill' }[] {
  const kinds = [...Array<'cut'>(CUTS).fill('cut'), ...Array<'kill'>(KILLS).fill('kill')];
  const places = kinds.map(() => random.below(SIZE * 0.95)).sort((one, other) => one - other);
  return places.map((at) => ({ at, what: kinds.splice(random.below(kinds.length), 1)[0] as 'cut' | 'kill' }));
}

/** Sends a file with the unmodified client, while its connection is cut and the daemon is killed. */
async function sendThroughTrouble(t: Test, chunkSize: number): Promise<void> {
  const random = seeded(t);
  const content = random.bytes(SIZE);
  const node = await TestNode.start(t);
  const link = await Link.open(t, () => node.port);
  const ahead = trouble(random);
  const offsets: number[] = [];
  let kills: Promise<void> = Promise.resolve();
  link.onSent = () => {
    if (ahead[0] === undefined || link.sent < ahead[0].at) return;
    if (ahead.shift()?.what === 'kill') kills = kills.then(() => node.killDaemon());
    link.set('cut');
    link.set('up');
  };

  const id = await new Promise<string | undefined>((resolve, reject) => {
    const upload = new Upload(content, {
      endpoint: `${link.url}/tus/`,
      headers: node.authorized(),
      metadata: { filename: 'holiday.mp4', filetype: 'video/mp4' },
      chunkSize,
      retryDelays: Array<number>(100).fill(50),
      onAfterResponse(request, response) {
        if (request.getMethod() !== 'HEAD' || response.getStatus() !== 200) return;
        offsets.push(Number(response.getHeader('upload-offset')));
      },
      onError: reject,
      onSuccess: ({ lastResponse }) => resolve(lastResponse.getHeader('fidfs-id')),
    });
    upload.start();
  });
  await kills;

  t.strictSame(ahead, [], 'all of it has happened');
  t.match(id, /^group1\/M00\/.*\.mp4$/, 'the last answer carries the ID');
  t.ok((await node.get(id as string)).body.equals(content), 'what is served is what was sent');
  t.strictSame(
    offsets,
    [...offsets].sort((one, other) => one - other),
    'it never went back behind where it was',
  );
  t.ok(offsets.filter((offset) => offset > 0).length > CUTS / 2, 'it went on where it had stopped', { offsets });
  t.ok(link.sent < 2 * SIZE, 'not much was sent twice', { sent: link.sent });
  const { files } = await node.status();
  t.equal(files, 1);
  await node.assertClean(t);
}

// Seen to fail without the truncation in StorePath.reopenTemporary, and with `sweepTemporaries` removing all.
t.test('an unmodified tus client brings 100 MB through ten cut connections and two killed daemons', async (t) => {
  await sendThroughTrouble(t, Number.POSITIVE_INFINITY);
});

t.test('the same in pieces of 5 MB', async (t) => {
  await sendThroughTrouble(t, 5 * 2 ** 20);
});
