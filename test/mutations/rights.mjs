/** Mutations of keys, rights and upload tokens; see mutations.mjs. */
const authorization = 'daemon/http/authorization.ts';
const tokens = 'daemon/http/rights/tokens.ts';
const limits = 'daemon/http/rights/limits.ts';
const types = 'daemon/http/rights/file-types.ts';
const wrongKeys = 'daemon/http/rights/wrong-keys.ts';
const ring = 'daemon/config/key-ring.ts';
const routes = ['rights/routes'];
const limited = ['rights/limits'];
const guessing = ['rights/wrong-keys'];
const keys = ['rights/keys'];

export const rightsMutations = [
  {
    name: 'a key permits only its rights',
    file: authorization,
    from: 'isToken ? takesTokens : key.may(right)',
    to: 'isToken ? takesTokens : true',
    tests: routes,
  },
  {
    name: 'an upload token permits uploads only',
    file: authorization,
    from: 'isToken ? takesTokens : key.may(right)',
    to: 'isToken || key.may(right)',
    tests: routes,
  },
  {
    name: 'a key that is right waits, too',
    file: authorization,
    from: 'wait > 0 && !this.wrongKeys.isTrusted(client, key.id)',
    to: 'false',
    tests: guessing,
  },
  {
    name: 'a known key does not wait',
    file: authorization,
    from: 'wait > 0 && !this.wrongKeys.isTrusted(client, key.id)',
    to: 'wait > 0',
    tests: guessing,
  },
  {
    name: 'a token ends',
    file: tokens,
    from: 'if (exp <= now)',
    to: 'if (false)',
    tests: routes,
  },
  {
    name: 'a token ends within a day',
    file: tokens,
    from: 'exp > now + LONGEST_SECONDS + CLOCK_TOLERANCE_SECONDS',
    to: 'false',
    tests: routes,
  },
  {
    name: 'a token is for this audience',
    file: tokens,
    from: '![aud].flat().includes(AUDIENCE)',
    to: '!String(aud).includes(AUDIENCE)',
    tests: routes,
  },
  {
    name: 'a key ends',
    file: ring,
    from: 'return key && key.expires > Date.now() ? key : undefined;',
    to: 'return key;',
    tests: routes,
  },
  {
    name: 'an invalid file leaves the keys of before',
    file: ring,
    from: 'if (this.suspected === state) this.report((error as Error).message);',
    to: 'this.use([]); if (this.suspected === state) this.report((error as Error).message);',
    tests: keys,
  },
  {
    name: 'the smallest limit of size counts',
    file: limits,
    from: 'maxFileSize !== undefined && maxFileSize < least.bytes',
    to: 'maxFileSize !== undefined',
    tests: limited,
  },
  {
    name: 'an upload takes its limits to another group',
    file: 'daemon/http/forward.ts',
    from: 'query.set(ACCESS_PARAMETER, JSON.stringify(access));',
    to: '',
    tests: limited,
  },
  {
    name: 'a deletion is for the groups of its key',
    file: 'daemon/http/server.ts',
    from: 'assertGroup(accessOf(request), id.group);',
    to: '',
    tests: limited,
  },
  {
    name: 'the first bytes of a file are those of its extension',
    file: types,
    from: 'if (agree(extension.toLowerCase(), found)) return;',
    to: 'return;',
    tests: limited,
  },
  {
    name: 'an upload in pieces of a forbidden content is removed',
    file: 'daemon/http/tus.ts',
    from: "if (error instanceof Problem && error.problem === 'type-not-allowed') await this.uploads.remove(id);",
    to: '',
    tests: limited,
  },
  {
    name: 'another extension of known bytes is checked',
    file: 'daemon/http/known.ts',
    from: 'if (proven) await assertPermitted(access, proven, node);',
    to: '',
    tests: limited,
  },
  {
    name: 'types with a star are none that a browser runs',
    file: types,
    from: ' && !ACTIVE_TYPES.test(mediaType)',
    to: '',
    tests: ['rights/file-types'],
  },
  {
    name: 'keys that do not fit on the disk leave the file as it was',
    file: 'daemon/config/secret-file.ts',
    from: 'writeFileSync(file, text);',
    to: 'writeFileSync(file, text.slice(0, 4000));',
    tests: keys,
  },
  {
    name: 'the whole query goes to another group',
    file: 'daemon/http/forward.ts',
    from: 'splitAddress(request.url)[1]',
    to: "(request.url.split('?', 2)[1] ?? '')",
    tests: limited,
  },
  {
    name: 'wrong keys count for a minute',
    file: wrongKeys,
    from: 'oldest + WINDOW_MILLISECONDS - this.clock()',
    to: 'oldest + 3 * WINDOW_MILLISECONDS - this.clock()',
    tests: guessing,
  },
];
