/*
 * The layers of the sources, checked by test/layers/layers.test.ts: http → replication, cluster → index, store → file-id. Imports of
 * types count. By hand: npx depcruise daemon file-id njs nginx console/src clients/js/src
 */
const CONFIG_AND_WORDS = '^daemon/(config/|words\\.ts|version\\.ts|log\\.ts)';

/** Nothing in `from` imports anything of the project outside of `to`. */
function only(name, from, to, comment) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: from },
    to: { path: '^(daemon|file-id|njs|nginx|console)/', pathNot: [from, CONFIG_AND_WORDS, '^file-id/', ...to] },
  };
}

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, pathNot: '-worker\\.ts$|main\\.ts$|\\.d\\.ts$|^clients/js/src/(index|platform-)' },
      to: {},
    },
    only('file-id-is-pure', '^file-id/', [], 'The codec is compiled for njs, too.'),
    only('clients', '^clients/', [], 'Packages of their own, which know the server by HTTP only.'),
    only('store', '^daemon/store/', [], 'Files on disks; records only through store/records.ts.'),
    only(
      'index',
      '^daemon/index/',
      ['^daemon/store/(records|resumable-records|names|errors)\\.ts'],
      'SQLite; never the contents of files.',
    ),
    only('pictures', '^daemon/pictures/', [], 'Pictures of files by their paths; knows no store.'),
    only('nats', '^daemon/nats/', [], 'The connection to NATS; knows nothing of what is sent.'),
    only('events', '^daemon/events/', ['^daemon/(index|nats)/', '^daemon/alarm\\.ts'], 'Publishes the outbox.'),
    only('cluster', '^daemon/cluster/', [], 'Which nodes there are, and requests to them.'),
    only('replication', '^daemon/replication/', ['^daemon/(store|index|cluster)/', '^daemon/alarm\\.ts'], ''),
    only(
      'operations',
      '^daemon/operations/',
      ['^daemon/(store|index|cluster|replication)/', '^daemon/(alarm|status|requests)\\.ts'],
      'What all protocols share; knows no protocol.',
    ),
    only(
      'http',
      '^daemon/http/',
      ['^daemon/(store|index|cluster|replication|operations|pictures)/', '^daemon/(alarm|status|requests|access)\\.ts'],
      '',
    ),
    only(
      'fastdfs',
      '^daemon/fastdfs/',
      ['^daemon/(store|index|cluster|replication|operations)/', '^daemon/(alarm|status|requests)\\.ts'],
      "FastDFS's protocol; nothing of HTTP.",
    ),
    {
      name: 'command-loads-what-it-runs',
      comment: 'The modules of all commands, loaded at once, take longer than most commands.',
      severity: 'error',
      from: { path: '^daemon/cli/main\\.ts$' },
      to: {
        path: '^(daemon|nginx)/',
        pathNot: '^daemon/(cli/(errors|output)|config/settings-error|version|words)\\.ts$',
        dynamic: false,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'store-without-sqlite',
      severity: 'error',
      from: { pathNot: '^daemon/index/|^daemon/cli/(verify|temporary-database|audit/named-files|archive/)' },
      to: { path: 'better-sqlite3' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(test|bench|dist|clients/js/dist)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.tsx', '.js', '.mjs'] },
  },
};
