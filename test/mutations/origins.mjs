/** Mutations of what pages of other origins may do; see mutations.mjs. */
const cors = 'nginx/cors.ts';
const downloads = ['cors/downloads'];
const origins = ['cors/origins'];

export const originMutations = [
  {
    name: 'an origin ends where its entry ends',
    file: cors,
    from: '}\\\\z" ${JSON',
    to: '}" ${JSON',
    tests: downloads,
  },
  {
    name: 'a dot in an origin is a dot',
    file: cors,
    from: 'replace(/[.[\\]]/g',
    to: 'replace(/[[\\]]/g',
    tests: downloads,
  },
  {
    name: "the headers of a peer's answer do not stay beside those of this node",
    file: cors,
    from: 'REPLACED.map((name)',
    to: 'REPLACED.slice(1).map((name)',
    tests: downloads,
  },
  {
    name: 'a range that is not there has the headers once',
    file: 'njs/downloads.ts',
    from: "delete r.headersOut['Access-Control-Allow-Origin'];",
    to: '',
    tests: downloads,
  },
  {
    name: 'a preflight does not reach the daemon',
    file: cors,
    from: '"~^OPTIONS [A-Z]+ ."',
    to: '"~^OPTIONX [A-Z]+ ."',
    tests: origins,
  },
  {
    name: 'an allowed origin uploads where uploads are open',
    file: 'daemon/http/authorization.ts',
    from: '!isAllowedOrigin(request.headers, corsOrigins) && ',
    to: '',
    tests: origins,
  },
  {
    name: 'a body that is too large is refused readably',
    file: 'nginx/problem-pages.ts',
    from: "413: 'set $fidfs_cors_kind api;",
    to: "413: 'set $fidfs_unused api;",
    tests: origins,
  },
  {
    name: 'other origins get nothing of a list',
    file: cors,
    from: '[\'  default "";\', ...origins.map(entry)]',
    to: "['  default $http_origin;', ...origins.map(entry)]",
    tests: downloads,
  },
];
