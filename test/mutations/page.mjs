/** Mutations of what the daemon does for the web page; see mutations.mjs. */
const links = 'daemon/operations/links.ts';
const routes = 'daemon/http/console-routes.ts';
const tests = ['console/links'];

export const pageMutations = [
  {
    name: 'the page: links to files of another group are made by its nodes',
    file: links,
    from: 'if (group === cluster.ownGroup) return',
    to: 'return',
    tests,
  },
  {
    name: 'the page: a key makes links to files of its groups only',
    file: routes,
    from: 'assertGroup(accessOf(request), group);\n    if (!node',
    to: 'if (!node',
    tests,
  },
  {
    name: 'the page: a key is told of its groups only',
    file: routes,
    from: 'node.cluster.groups.filter((group) => covers(accessOf(request), group))',
    to: 'node.cluster.groups',
    tests,
  },
  {
    name: 'the page: a node says that its downloads need links',
    file: 'daemon/status.ts',
    from: "signed: settings.downloads === 'signed',",
    to: '',
    tests,
  },
  {
    name: 'the page: the links are those to files of one group',
    file: routes,
    from: 'if (groups.size !== 1)',
    to: 'if (false)',
    tests,
  },
  {
    name: 'the page: samples of an hour are kept',
    file: 'daemon/operations/history.ts',
    from: '.filter((sample) => sample.slot > slot - KEPT).slice(-KEPT)',
    to: '',
    tests: ['console/history'],
  },
  {
    name: 'the page: the other nodes are asked for the last hour',
    file: routes,
    from: "state === 'up' ? await client",
    to: 'state === undefined ? await client',
    tests: ['console/history'],
  },
  {
    name: 'the page: failures are counted',
    file: 'daemon/http/server.ts',
    from: "if (reply.statusCode >= 500 && request.url !== '/readyz') node.requests.failed();",
    to: '',
    tests: ['console/history'],
  },
];
