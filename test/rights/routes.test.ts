import t from 'tap';
import { RIGHTS, type Right } from '../../daemon/config/keys.js';
import { bearer, Elsewhere, inSeconds, makeKey, token, usable } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';
import { DAEMON_ROUTES, ROUTES } from '../helpers/routes.js';

/** Whether a route takes upload tokens. */
function takesTokens(path: string): boolean {
  return /^\/(?:upload|tus)/.test(path);
}

t.test('each route is open to the keys that have its right, and to no others', async (t) => {
  const node = await TestNode.start(t);
  const exp = inSeconds(600);
  const signing = makeKey(node, 'signing', ['sign']);
  const keys = new Map(RIGHTS.map((right) => [right, makeKey(node, right, [right])]));
  const ended = makeKey(node, 'ended', ['admin'], { expires: new Date(Date.now() - 1000) });
  await usable(node, keys.get('admin') as string);
  const good = token(signing, { exp }, { kid: 'signing' });
  const tokens: Record<string, string> = {
    'a token': good,
    'a token of the main key': token(node.key, { exp }),
    'a token for fidfs among others': token(signing, { exp, aud: ['x', 'fidfs'] }, { kid: 'signing' }),
  };
  const refused: Record<string, string> = {
    'an expired token': token(signing, { exp: inSeconds(-1) }, { kid: 'signing' }),
    'a token without an end': token(signing, {}, { kid: 'signing' }),
    'a token for two days': token(signing, { exp: inSeconds(48 * 3600) }, { kid: 'signing' }),
    'a token for later': token(signing, { exp, nbf: inSeconds(300) }, { kid: 'signing' }),
    'a token from later': token(signing, { exp, iat: inSeconds(300) }, { kid: 'signing' }),
    'a token for another audience': token(signing, { exp, aud: 'notfidfs' }, { kid: 'signing' }),
    'a token of types that are none': token(signing, { exp, types: [] }, { kid: 'signing' }),
    'a token without a signature': token(signing, { exp }, { alg: 'none', kid: 'signing' }),
    'a token with another algorithm': token(signing, { exp }, { alg: 'HS384', kid: 'signing' }),
    'a token with another kid': token(signing, { exp }, { kid: 'upload' }),
    'a token with an unknown kid': token(signing, { exp }, { kid: 'nobody' }),
    'a token without the kid': token(signing, { exp }),
    'a token of a key without that right': token(keys.get('admin') as string, { exp }, { kid: 'admin' }),
    'a token with a changed claim': good.replace(
      /\.[^.]+\./,
      `.${Buffer.from(`{"exp":${exp + 1}}`).toString('base64url')}.`,
    ),
    'a token that is none': 'a.b.c',
  };
  const credentials: [
    name: string,
    authorization: string | undefined,
    expected: (path: string, right: Right) => string,
  ][] = [
    ['none', undefined, () => '401 no-key'],
    ['another scheme', 'Basic eDp4', () => '401 no-key'],
    ['a wrong key', 'Bearer 0123456789abcdef', () => '401 wrong-key'],
    ['a key that has ended', `Bearer ${ended}`, () => '401 wrong-key'],
    ['the main key', `Bearer ${node.key}`, () => 'open'],
    ...[...keys].map(([own, key]): (typeof credentials)[number] => [
      `the right ${own}`,
      `Bearer ${key}`,
      (_path, right) => (own === right || own === 'admin' ? 'open' : '403 no-right'),
    ]),
    ...Object.entries(tokens).map(([name, text]): (typeof credentials)[number] => [
      name,
      `Bearer ${text}`,
      (path) => (takesTokens(path) ? 'open' : '403 no-right'),
    ]),
    ...Object.entries(refused).map(([name, text]): (typeof credentials)[number] => [
      name,
      `Bearer ${text}`,
      () => '401 wrong-token',
    ]),
  ];
  const wrong: string[] = [];
  let number = 1;
  const daemon = `http://127.0.0.1:${node.daemonPort}`;
  for (const [origin, routes] of [[node.origin, ROUTES] as const, [daemon, DAEMON_ROUTES] as const]) {
    for (const [method, path, right] of routes) {
      // An address for each route, so that wrong keys do not add up.
      const client = new Elsewhere(`127.0.1.${number++}`);
      for (const [name, authorization, expected] of credentials) {
        const headers = authorization === undefined ? {} : { authorization };
        const body = ['POST', 'PUT', 'PATCH'].includes(method) ? 'x' : undefined;
        const answer = await client.request(origin + path, method, headers, body);
        const found = [401, 403, 429].includes(answer.status) ? outcome(answer) : 'open';
        const wanted = expected(path, right);
        const isRight = method === 'HEAD' ? found.slice(0, 3) === wanted.slice(0, 3) : found === wanted;
        if (!isRight) wrong.push(`${method} ${path} with ${name}: ${found}, not ${wanted}`);
      }
      await client.close();
    }
  }
  t.strictSame(wrong, []);
  t.ok(number > 17);
  const all = [node.log, JSON.stringify(await node.status())];
  all.push(String((await node.get('/metrics')).body));
  for (const secret of [signing, ...keys.values(), ...Object.values(tokens), 'Bearer ']) {
    t.strictSame(
      all.filter((text) => text.includes(secret)).length,
      secret === 'Bearer ' ? 1 : 0,
      'nothing shows a key or a token',
    );
  }
  t.match(String((await node.get('/metrics')).body), /fidfs_key_requests_total\{key="delete",right="delete"\} \d+/);
  t.match(node.log, /"key":"list".*does not have the right/);
});

t.test('open uploads are those of everybody, and nothing else is', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_UPLOADS: 'open' } });
  const only = makeKey(node, 'only', ['delete']);
  await usable(node, only);
  const send = (headers: Record<string, string>) =>
    node.request('/upload?ext=txt', { method: 'POST', body: 'x', headers });
  for (const headers of [{}, bearer('0123456789abcdef'), bearer(only), bearer(token(only, { exp: inSeconds(9) }))]) {
    const answer = await send(headers);
    t.equal(answer.status, 201);
    t.notOk(answer.headers['www-authenticate']);
    const { id } = JSON.parse(String(answer.body)).files[0];
    t.equal((await node.delete(id, {})).status, 401);
    t.equal((await node.delete(id, bearer(only))).status, 204);
  }
  const limited = token(node.key, { exp: inSeconds(60), types: ['png'] });
  t.equal(outcome(await send(bearer(limited))), '415 type-not-allowed', 'a token that is sent has its limits');
});
