import t from 'tap';
import { networkOf, WrongKeys } from '../../daemon/http/rights/wrong-keys.js';
import { bearer, Elsewhere, inSeconds, makeKey, token, usable } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

t.test('20 wrong keys within any minute make an address wait until the first of them is a minute old', async (t) => {
  let now = 1_000_000;
  const keys = new WrongKeys(() => now);
  for (let number = 0; number < 20; number++) {
    t.equal(keys.wait('10.0.0.1'), 0);
    keys.failed('10.0.0.1');
    now += 1000;
  }
  t.equal(keys.wait('10.0.0.1'), 40_000);
  t.equal(keys.wait('10.0.0.2'), 0, 'another address');
  now += 40_000;
  t.equal(keys.wait('10.0.0.1'), 0);
  keys.failed('10.0.0.1');
  t.equal(keys.wait('10.0.0.1'), 1000, 'the others count still');
  now += 60_000;
  for (let number = 0; number < 30; number++) {
    t.equal(keys.wait('10.0.0.1'), 0, 'fewer than 20 a minute');
    keys.failed('10.0.0.1');
    now += 3100;
  }

  keys.succeeded('10.0.0.1', 'web');
  t.ok(keys.isTrusted('10.0.0.1', 'web'));
  t.notOk(keys.isTrusted('10.0.0.1', 'other'));
  t.notOk(keys.isTrusted('10.0.0.2', 'web'));
  for (let number = 0; number < 10_001; number++) keys.failed(`10.1.${number >> 8}.${number & 255}`);
  t.ok(keys.isTrusted('10.0.0.1', 'web'), 'wrong keys of many addresses push out no success');
  now += 3_600_000;
  t.notOk(keys.isTrusted('10.0.0.1', 'web'), 'for an hour');

  for (let number = 0; number < 20; number++) keys.failed('10.2.0.0');
  t.not(keys.wait('10.2.0.0'), 0);
  for (let number = 0; number < 9_999; number++) keys.failed(`10.3.${number >> 8}.${number & 255}`);
  t.not(keys.wait('10.2.0.0'), 0);
  keys.failed('10.4.0.0');
  t.equal(keys.wait('10.2.0.0'), 0, 'the oldest of more than 10,000 is dropped');
});

t.test('addresses of one IPv6 network count as one', async (t) => {
  const cases: [string, string][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:DB8:1:2::1', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:0db8:0:0:1::', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['64:ff9b::10.0.0.1', '64:ff9b:0:0'],
    ['1::2:3:4:5:6:7', '1:0:2:3'],
    ['unix:', 'unix:'],
  ];
  for (const [address, network] of cases) t.equal(networkOf(address), network, address);
});

t.test('an address that guesses waits, and who was known there goes on', async (t) => {
  const node = await TestNode.start(t);
  const web = makeKey(node, 'web', ['upload', 'sign']);
  const late = makeKey(node, 'late', ['upload']);
  await usable(node, late);
  const wrongKeys = async () =>
    Number(/^fidfs_wrong_keys_total (\d+)$/m.exec(String((await node.get('/metrics')).body))?.[1]);
  // `usable` sends the key before it is valid, too.
  const before = await wrongKeys();
  const good = new Elsewhere('127.0.2.1');
  const bad = new Elsewhere('127.0.2.2');
  t.teardown(() => Promise.all([good.close(), bad.close()]));
  const send = (from: Elsewhere, key: string, headers = {}) =>
    from.request(`${node.origin}/upload?ext=txt`, 'POST', { ...bearer(key), ...headers }, 'x');
  const signed = (exp: number) => token(web, { exp }, { kid: 'web' });
  t.equal(outcome(await send(bad, signed(inSeconds(60)))), '201');
  for (let number = 0; number < 30; number++) {
    t.equal(outcome(await send(bad, signed(inSeconds(-1)))), '401 wrong-token', 'one that has expired is no guess');
  }
  for (let number = 0; number < 20; number++) {
    const wrong =
      number % 2 === 0 ? `wrong-key-0123456789-${number}` : token(`guess ${number}`, { exp: inSeconds(60) });
    t.match(outcome(await send(bad, wrong, { 'X-Fidfs-Client': `10.0.0.${number}` })), /^401 wrong-(?:key|token)$/);
  }
  const waits = await send(bad, 'wrong-key-0123456789');
  t.equal(outcome(waits), '429 too-many-wrong-keys');
  t.match(waits.headers['retry-after'], /^[1-9]\d?$/);
  t.ok(Number(waits.headers['retry-after']) <= 60);
  t.equal(outcome(await send(bad, late)), '429 too-many-wrong-keys', 'a guess that is right gets the same answer');
  t.equal(outcome(await send(bad, node.key)), '429 too-many-wrong-keys');
  t.equal(outcome(await send(bad, web)), '201', 'its key was right before');
  t.equal(outcome(await send(bad, signed(inSeconds(60)))), '201');
  t.equal(outcome(await send(good, late)), '201');
  t.equal(outcome(await send(good, 'wrong-key-0123456789')), '401 wrong-key');
  const head = await bad.request(`${node.origin}/tus/1-x`, 'HEAD', { ...bearer(late), 'tus-resumable': '1.0.0' });
  t.match(head, { status: 423, headers: { 'retry-after': /^\d+$/ } }, 'a tus client would begin anew after 429');
  t.equal(await wrongKeys(), before + 21);
});
