/** Mutations of appenders; see mutations.mjs. */
const appenders = 'daemon/store/appenders.ts';
const tests = ['fastdfs/appenders'];

export const appenderMutations = [
  {
    name: 'an append with too few copies is taken back',
    file: appenders,
    from: '.shorten(stored, former.finish())',
    to: '.digestOf(record, path)',
    tests,
  },
  {
    name: 'an appender is removed only when its new name has its copies',
    file: 'daemon/fastdfs/appenders.ts',
    from: '(file) => waitForCopies([file], this.node)',
    to: 'async (file) => void (async () => waitForCopies([file], this.node))().catch(() => {})',
    tests,
  },
  {
    name: 'changes of one appender run one after another',
    file: appenders,
    from: 'const done = before.catch(() => {}).then(act);',
    to: 'void before; const done = act();',
    tests,
  },
  {
    name: 'bytes that were not recorded are cut off by the start',
    file: 'daemon/store/recover-appenders.ts',
    from: 'path.calls.truncateSync(fullPath, record.size);',
    to: 'void fullPath;',
    tests,
  },
  {
    name: 'an appender shares its bytes with no other file',
    file: 'daemon/store/addition.ts',
    from: 'if (!this.parts.deduplicate || file.isAppender) return undefined;',
    to: 'if (!this.parts.deduplicate) return undefined;',
    tests,
  },
  {
    name: 'the node that changes an appender is asked first',
    file: 'njs/elsewhere.ts',
    from: 'r.internalRedirect(passes ? passTo(',
    to: 'r.internalRedirect(passes && !changer ? passTo(',
    tests,
  },
  {
    name: 'a version that was announced meanwhile is not acknowledged with an earlier one',
    file: 'daemon/replication/fetcher.ts',
    from: 'if (recorded && supersedes(told, recorded)) return;',
    to: 'void recorded;',
    tests: ['durable-write/versions'],
  },
];
