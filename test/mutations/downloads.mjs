/** Mutations of njs/ and nginx/; see mutations.mjs. */
const tokens = 'njs/token-check.ts';
const guard = 'nginx/tokens.ts';
const shortNames = 'nginx/short-names.ts';
const shortNamesTest = ['downloads/short-names'];
const tokensTest = ['downloads/tokens'];

export const downloadMutations = [
  {
    name: 'a token expires',
    file: tokens,
    from: "if (ts !== 0 && Math.floor(Date.now() / 1000) - ts > settings.ttl) return 'wrong';",
    to: '',
    tests: tokensTest,
  },
  {
    name: 'a token with ts 0 never expires',
    file: tokens,
    from: 'ts !== 0 && ',
    to: '',
    tests: tokensTest,
  },
  {
    name: 'ts is read as by atoi',
    file: tokens,
    from: '.update(String(ts))',
    to: '.update(String(ts + 1))',
    tests: tokensTest,
  },
  {
    name: 'a read mark that stands for a token is authenticated',
    file: tokens,
    from: 'if (marks.receiverOf(mark, settings.readKey, r.uri.substring(1), [settings.id])) return',
    to: 'return',
    tests: tokensTest,
  },
  {
    name: 'a token that was checked is not passed on',
    file: 'njs/elsewhere.ts',
    from: 'const kept = stripsTokens',
    to: 'const kept = !stripsTokens',
    tests: tokensTest,
  },
  {
    name: 'files of other groups need a token',
    file: 'nginx/elsewhere.ts',
    from: 'tokenGuard(settings)}',
    to: "''}",
    tests: tokensTest,
  },
  {
    name: 'IDs that only another node may have need a token',
    file: 'nginx/downloads.ts',
    from: 'place.tokenGuard}`',
    to: "''}`",
    tests: tokensTest,
  },
  {
    name: 'a token behind other arguments is removed from the access log',
    file: guard,
    from: '(?<fidfs_before_token>[^?]*[?](?:.*&)?token=)',
    to: '(?<fidfs_before_token>[^?]*[?]token=)',
    tests: tokensTest,
  },
  {
    name: 'two tokens are removed from the access log',
    file: guard,
    from: 'token=.*&token=',
    to: 'token=.*&tokens=',
    tests: tokensTest,
  },
  {
    name: 'the include with the token key has a mode of its own',
    file: 'nginx/write.ts',
    from: ' || settings.fastdfsTokenKey !== undefined',
    to: '',
    tests: tokensTest,
  },
  {
    name: 'names without the store path are served',
    file: shortNames,
    from: '/M00/$1 last;`',
    to: '/M01/$1 last;`',
    tests: shortNamesTest,
  },
  {
    name: 'names without the group are served where there is one group',
    file: shortNames,
    from: "if (others.length > 0) return '';",
    to: "if (others.length === 0) return '';",
    tests: shortNamesTest,
  },
  {
    name: 'a token may be that of a name without the store path',
    file: tokens,
    from: "return isFirst && marks.same(tokenOf(name.substring(4), settings.key, ts), token) ? '' : 'wrong';",
    to: "return 'wrong';",
    tests: shortNamesTest,
  },
  {
    name: 'urlHasGroup shapes the addresses in answers',
    file: 'daemon/http/public-address.ts',
    from: 'urlHasGroup ? id',
    to: 'id ? id',
    tests: shortNamesTest,
  },
  {
    name: 'notFoundImage has the status 404',
    file: 'nginx/not-found-image.ts',
    from: 'error_page 404 =404 ',
    to: 'error_page 404 =200 ',
    tests: ['downloads/not-found-image'],
  },
  {
    name: 'a page that is not there is not a picture',
    file: 'nginx/not-found-image.ts',
    from: '"~*^ (?!.*(?:text/html|json)).*image/" 1;',
    to: '"~*^ .*image/" 1;',
    tests: ['downloads/not-found-image'],
  },
  {
    name: 'Sec-Fetch-Dest decides whether a picture is wanted',
    file: 'nginx/not-found-image.ts',
    from: '"$http_sec_fetch_dest $http_accept"',
    to: '" $http_accept"',
    tests: ['downloads/not-found-image'],
  },
  {
    name: 'a picture in place of a problem document is sent whole',
    file: 'nginx/picture.ts',
    from: '  max_ranges 0;\n',
    to: '',
    tests: ['downloads/not-found-image', 'downloads/tokens'],
  },
  {
    name: 'a picture that cannot be read is replaced by the problem document',
    file: 'nginx/picture.ts',
    from: 'error_page 403 404 = $',
    to: 'error_page 403 = $',
    tests: ['downloads/not-found-image'],
  },
];
