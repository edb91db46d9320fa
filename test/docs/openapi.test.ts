import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Validator } from '@seriousme/openapi-schema-validator';
import t from 'tap';
import { parse } from 'yaml';
import { CATALOGUE, isProblemName, PROBLEM_TYPE, problemDocument } from '../../daemon/operations/problems.js';
import { differenceOf, operationOf } from '../helpers/description.js';
import { type Answer, TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';
import { ROUTES } from '../helpers/routes.js';

const { Ajv2020 } = createRequire(import.meta.url)('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js');
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

type Specification = Parameters<Validator['validate']>[0];
type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type Item = Record<string, { security?: Record<string, string[]>[]; responses: Record<string, { $ref?: string }> }>;

const described = parse(readFileSync(join(ROOT, 'docs/openapi.yaml'), 'utf8'), { maxAliasCount: -1 }) as {
  info: { version: string };
  paths: Record<string, Item>;
  components: {
    parameters: Record<string, { name: string; example?: Json; schema: Json }>;
    schemas: Record<string, { examples?: Json[]; properties?: Record<string, { enum?: string[] }> }>;
    responses: Record<string, { content: Record<string, { schema?: Json }> }>;
  };
};
const { parameters, schemas, responses } = described.components;

/** Everything in a value that has this key, at any depth. */
function withKey(value: unknown, key: string): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null) return [];
  const below = Object.values(value).flatMap((one) => withKey(one, key));
  return key in value ? [value as Record<string, unknown>, ...below] : below;
}

/** The names of the problems and the statuses of a response. */
function problemsOf(name: string): { types: string[]; statuses: unknown[] } {
  const content = responses[name]?.content[PROBLEM_TYPE];
  const types = withKey(content, 'enum').flatMap((one) => one.enum as string[]);
  return {
    types: types.map((type) => type.replace('urn:fidfs:problem:', '')),
    statuses: withKey(content, 'const').map((one) => one.const),
  };
}

/** A path with an example of each of its parameters. */
function exampleOf(path: string): string {
  const examples: Record<string, string> = { preset: 'console', upload: '1-d7f39d8ed18ed36f5be7f418f618bad7' };
  for (const { name, example } of Object.values(parameters)) examples[name] ??= String(example);
  return path.replace(/\{(\w+)\}/g, (_all, name: string) => examples[name] ?? name);
}

t.test('the description is valid, and its examples fit', async (t) => {
  const { valid, errors } = await new Validator().validate(structuredClone(described) as unknown as Specification);
  t.ok(valid, 'it is OpenAPI', { errors });
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  t.equal(described.info.version, version);
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'urn:fidfs:all', components: { schemas } });
  const fits = (schema: unknown, value: unknown) => {
    const text = JSON.stringify(schema).replaceAll('"#/components', '"urn:fidfs:all#/components');
    return ajv.validate(JSON.parse(text) as object, value);
  };
  let count = 0;
  for (const schema of withKey(described, 'examples')) {
    for (const example of schema.examples as Json[]) {
      count++;
      t.ok(fits(schema, example), JSON.stringify(example));
    }
  }
  for (const { schema, example } of withKey(described, 'example')) {
    if (schema === undefined) continue;
    count++;
    t.ok(fits(schema, example), JSON.stringify(example));
  }
  t.ok(count > 30);
});

t.test('the problems are those of the catalogue, each at its status', async (t) => {
  const names = Object.keys(CATALOGUE);
  const types = schemas.Problem?.properties?.type?.enum;
  t.strictSame(
    types,
    names.map((name) => `urn:fidfs:problem:${name}`),
  );
  const used = new Set<string>();
  for (const [path, item] of Object.entries(described.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      for (const [status, { $ref = '' }] of Object.entries(operation.responses ?? {})) {
        const { types, statuses } = problemsOf($ref.slice('#/components/responses/'.length));
        if (Number(status) < 400) continue;
        t.strictSame(statuses, [Number(status)], `${method} ${path}: ${status}`);
        for (const type of types) {
          used.add(type);
          t.equal(isProblemName(type) && CATALOGUE[type][0], Number(status), `${method} ${path}: ${type}`);
        }
      }
    }
  }
  t.strictSame(
    names.filter((name) => !used.has(name)),
    ['not-a-peer'],
    'only peers get this one',
  );
});

t.test('the rights are those that the routes need', async (t) => {
  const found = new Set<string>();
  for (const [method, path, right] of ROUTES) {
    if (path.startsWith('/console/')) continue;
    const operation = operationOf(method, path === '/tus' ? '/tus/' : path);
    const { security = [] } = described.paths[operation?.path ?? '']?.[method.toLowerCase()] ?? {};
    t.strictSame(security.find(({ key }) => key)?.key, [right], `${method} ${path}`);
    found.add(`${method} ${operation?.path}`);
  }
  const keyed = Object.entries(described.paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([, { security = [] }]) => security.some(({ key }) => key))
      .map(([method]) => `${method.toUpperCase()} ${path}`),
  );
  // fastify adds HEAD to each GET, and PUT /upload has the handler of POST.
  const others = ['PUT /upload', 'HEAD /metadata/', 'HEAD /files'];
  const missing = keyed.filter((one) => !found.has(one) && !others.some((other) => one.startsWith(other)));
  t.strictSame(missing, [], 'no other operation needs a key');
});

/** Whether an address has a method only with `X-HTTP-Method-Override`. */
function needsHeader(method: string, path: string): boolean {
  return method === 'POST' && path === '/tus/{upload}';
}

t.test('a node has the addresses and methods that are described, and no others', async (t) => {
  const node = await TestNode.start(t);
  for (const path of Object.keys(described.paths)) {
    const address = exampleOf(path);
    const has = METHODS.filter((method) => operationOf(method, address) && !needsHeader(method, path));
    for (const method of METHODS) {
      // With the key, because DELETE of any address needs one.
      const answer = await node.request(address, { method: method as 'GET', headers: node.authorized() });
      const what = `${method} ${path}`;
      if (has.includes(method)) t.not(answer.status, 405, what);
      // nginx says of a file that is missing that it is, whatever is posted to it.
      else if (method === 'POST' && path.startsWith('/{group}')) t.equal(outcome(answer), '404 not-found', what);
      else
        t.equal(
          method === 'HEAD' ? `${answer.status} method-not-allowed` : outcome(answer),
          '405 method-not-allowed',
          what,
        );
      if (answer.status === 405) t.strictSame(String(answer.headers.allow).split(', ').sort(), [...has].sort(), what);
    }
  }
  const nginx = readFileSync(join(node.data, 'nginx/fidfs-server.conf'), 'utf8');
  const locations = [...nginx.matchAll(/^ *location (?:= |\^~ )?(\/[^ ]*) \{/gm)].map(([, path = '']) => path);
  const examples = Object.keys(described.paths).map(exampleOf);
  const isNone = (path: string) => !examples.some((example) => example.startsWith(path));
  const rest = locations.filter((path) => isNone(path) && !/^\/(?:\.fidfs|console|M00\/)/.test(path));
  t.strictSame(rest, [], 'every location but those of the page and of shorter names is described');
  t.ok(locations.length > 12);
});

t.test('an answer that is not described is noticed', async (t) => {
  const json = { 'content-type': 'application/json' };
  const page = { files: [], next: 'awKqGAEAAACAO3ipAAST4HsUpnM' };
  const problem = (name: keyof typeof CATALOGUE, headers = {}): Answer => ({
    status: CATALOGUE[name][0],
    headers: { 'content-type': PROBLEM_TYPE, ...headers },
    body: Buffer.from(JSON.stringify(problemDocument(name, 'x'))),
  });
  const answer = (status: number, body: unknown = '', headers: Answer['headers'] = {}): Answer => ({
    ...{ status, headers },
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
  });
  const file = '/group1/M00/00/00/AQAAAGsCqhmAO3ipAAST4HsUpnM370.jpg';
  const cases: [method: string, path: string, answer: Answer, reason: RegExp | undefined][] = [
    ['GET', '/files?limit=1', answer(200, page, json), undefined],
    ['GET', '/files', answer(200, { ...page, more: 1 }, json), /unevaluated.*more/],
    ['GET', '/files', answer(200, { files: [{}] }, json), /required/],
    ['GET', '/files', answer(200, '{', json), /object/],
    ['GET', '/files', answer(200, page, { 'content-type': 'text/plain' }), /content-type/],
    ['GET', '/files', answer(204), /status/],
    ['HEAD', '/files', answer(200), undefined],
    ['GET', '/files', problem('not-known'), /status/],
    ['GET', '/files', problem('no-such-group'), undefined],
    ['GET', '/files', problem('bad-extension'), /allowed values/],
    ['GET', '/files', problem('unavailable'), /retry-after is missing/],
    ['GET', '/files', problem('unavailable', { 'retry-after': 'soon' }), /retry-after.*pattern/],
    ['GET', '/files', problem('unavailable', { 'retry-after': '5' }), undefined],
    ['POST', '/files', problem('method-not-allowed'), /allow is missing/],
    ['POST', '/files', problem('method-not-allowed', { allow: 'GET' }), undefined],
    ['POST', '/files', answer(200, page, json), /does not have this method/],
    ['GET', '/nothing', answer(404, 'x'), /content-type/],
    ['GET', '/nothing', problem('not-found'), undefined],
    ['DELETE', file, answer(204), undefined],
    ['DELETE', `/%2f/x/..${file}`, answer(204, 'x'), /there is a body/],
    ['DELETE', '/00/00/AQAAAGsCqhmAO3ipAAST4HsUpnM370.jpg', answer(200), /status/],
    ['GET', file, answer(200, 'x', { 'content-type': 'image/jpeg' }), undefined],
    ['GET', `/picture/thumb${file}`, answer(200, 'x', { 'content-type': 'image/jpeg' }), /cache-control is missing/],
    ['GET', '/info/x', problem('bad-id'), undefined],
    ['GET', '/info/group1/x', problem('bad-id'), undefined],
    ['GET', '/base/info/x', problem('not-found'), /status/],
    ['PATCH', '/tus/1-0', answer(204, '', { 'tus-resumable': '1.0.1', 'upload-offset': '0' }), /tus-resumable is/],
  ];
  for (const [method, path, given, reason] of cases) {
    const found = differenceOf({ method, path, headers: {}, publicUrl: 'https://x.example/base' }, given);
    const what = `${method} ${path}: ${given.status}`;
    if (reason) t.match(found, reason, what);
    else t.equal(found, undefined, what);
  }
  const headers = { 'access-control-request-method': 'GET' };
  const preflight = { method: 'OPTIONS', path: file, headers, publicUrl: undefined };
  t.equal(differenceOf(preflight, answer(204)), undefined);
  t.match(differenceOf({ ...preflight, headers: {} }, answer(204)), /does not have this method/);
});
