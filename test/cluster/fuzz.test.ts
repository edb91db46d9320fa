import { createHash } from 'node:crypto';
import t from 'tap';
import { sign } from '../../daemon/cluster/signature.js';
import { holds, startCluster } from '../helpers/cluster.js';
import type { Answer, TestNode } from '../helpers/node.js';
import { type Random, seeded } from '../helpers/random.js';

const SECRET = 'peer-secret-0123456789';
const PREFIX = '/.fidfs/peer';
const ENDPOINTS = ['hello', 'log', 'files', 'inventory', 'tombstones', 'names', 'holds', 'file', 'upload', '', 'none'];

/** A multiple is set by `npm run storm -- --rounds N`. */
const COUNT = 300 * Number(process.env.STORM_ROUNDS ?? 1);

interface Asked {
  method: string;
  target: string;
  body: Buffer | null;
}

function digestOf(body: Buffer): string {
  return createHash('sha256').update(body).digest('base64url');
}

/** A random request of a peer, valid or nearly valid. */
function question(random: Random, id: string): Asked {
  const pick = <T>(...choices: T[]): T => choices[random.below(choices.length)] as T;
  const endpoint = pick(...ENDPOINTS);
  const method = pick('GET', 'POST', 'POST', 'DELETE', 'PUT');
  const number = () => pick<unknown>(0, 1, -1, 1.5, 2 ** 53, 'x', null, random.below(1000), [], {});
  const value = {
    ...{
      incarnation: pick<unknown>('x', '', 5, null),
      from: number(),
      after: number(),
      wait: pick<unknown>(0, 0, -1, 'x'),
    },
    ...{ without: pick<unknown>([], [1], 'x', [number()]), fetching: pick<unknown>([], [[1, 2]], [[1]], 'x') },
    ...{ keys: pick<unknown>([], ['00'.repeat(20)], ['x'], 'x', Array(2000).fill('00'.repeat(20))) },
    places: pick<unknown>([], [0], [-1], [2 ** 40], ['x'], Array(2000).fill(1)),
  };
  const text = pick(
    JSON.stringify(value),
    '',
    '{',
    'null',
    '[]',
    random.bytes(50).toString('latin1'),
    '[[['.repeat(1000),
  );
  const body = method === 'GET' ? null : Buffer.from(text);
  const hostile = pick(id, '', '../../etc/passwd', 'group1/M00/00/00/x', id.replace('M00', 'MFF'), '%00', id.repeat(5));
  const query = new URLSearchParams({ id: hostile, part: String(number()), digest: body ? digestOf(body) : 'x' });
  if (random.below(10) === 0) query.append('id', 'again');
  if (random.below(10) === 0) query.set('digest', 'wrong');
  return { method, target: `${PREFIX}/${endpoint}?${query}`, body };
}

function ask(node: TestNode, { method, target, body }: Asked, authorization: string | undefined): Promise<Answer> {
  const headers = authorization === undefined ? {} : { authorization };
  return node.request(target, { method: method as 'GET', body, headers });
}

t.test('the endpoints of peers', async (t) => {
  const random = seeded(t);
  const [a, b] = (await startCluster(t, { groups: ['group1', 'group1'] })) as [TestNode, TestNode];
  const { id } = await a.upload(Buffer.from('bytes'));
  const signed = (asked: Asked, sender = 2, receiver = 1, secret = SECRET) =>
    sign(secret, { method: asked.method, path: asked.target, sender, receiver });

  await t.test('answer nobody without a signature, or with a wrong one', async (t) => {
    const statuses = new Map<number, string>();
    for (let number = 0; number < COUNT; number++) {
      const asked = question(random, id);
      const wrong = [
        undefined,
        `Bearer ${a.key}`,
        signed(asked, 2, 1, 'another-secret-0123456789'),
        signed(asked, 3),
        signed(asked, 2, 2),
        signed({ ...asked, method: 'PATCH' }),
        signed({ ...asked, target: `${asked.target}&x` }),
        signed(asked).replace(/date=\d+/, 'date=1'),
        signed(asked).replace(/nonce=..../, 'nonce=AAAA'),
        signed(asked).slice(0, random.below(100)),
      ];
      const { status, body } = await ask(a, asked, wrong[random.below(wrong.length)]);
      statuses.set(status, `${asked.method} ${asked.target} ${body}`);
    }
    statuses.delete(404); // unknown endpoint or method
    statuses.delete(405);
    t.strictSame([...statuses.keys()], [401], String([...statuses]));
  });

  await t.test('take a request once, and at its time only', async (t) => {
    const hello = { method: 'GET', target: `${PREFIX}/hello`, body: null };
    const authorization = signed(hello);
    t.equal((await ask(a, hello, authorization)).status, 200);
    // Seen to fail without useOnce.
    t.equal((await ask(a, hello, authorization)).status, 401, 'a replay');
    const now = Date.now;
    for (const [minutes, status] of [
      [-60, 401],
      [60, 401],
      [0, 200],
    ] as const) {
      Date.now = () => now() + minutes * 60_000;
      const skewed = signed(hello);
      Date.now = now;
      const answer = await ask(a, hello, skewed);
      t.equal(answer.status, status, `a clock ${minutes} minutes off`);
      if (status === 401) t.match(String(answer.body), /clocks are \d+ seconds apart/);
    }
  });

  await t.test('answer anything that is signed with clean errors, and nothing is harmed', async (t) => {
    const unclean: unknown[] = [];
    for (let number = 0; number < COUNT; number++) {
      const asked = question(random, id);
      const { status, body, headers } = await ask(a, asked, signed(asked));
      const isProblem = String(headers['content-type']).startsWith('application/problem+json');
      if (status >= 500 || (status >= 400 && !isProblem))
        unclean.push([asked.method, asked.target, status, String(body)]);
      // The file was deleted by a valid request, so it cannot be checked any more.
      if (asked.method === 'DELETE' && status === 204) break;
    }
    t.strictSame(unclean, []);
    const file = await a.upload(Buffer.from('more'));
    await holds(b, [file.id]);
    t.notMatch(a.log, /the daemon failed|"level":60/);
    await a.assertClean(t);
    await b.assertClean(t);
  });
});
