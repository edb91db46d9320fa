/** Mutations of appenders; see mutations.mjs. */
const appenders = 'daemon/store/appenders.ts';
const files = 'daemon/store/appender-files.ts';
const tests = ['fastdfs/appenders'];
const spaceTests = ['fastdfs/appender-space'];
const copyTests = ['durable-write/appenders'];

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
  {
    name: 'an append to an appender that a copy has replaced is refused',
    file: files,
    from: '!this.isCurrent(record) || names.isUnderWay(record)',
    to: 'names.isUnderWay(record)',
    tests: copyTests,
  },
  {
    name: 'an append to an appender that a copy replaces in the same batch is refused',
    file: files,
    from: '!this.isCurrent(record) || names.isUnderWay(record)',
    to: '!this.isCurrent(record)',
    tests: copyTests,
  },
  {
    name: 'a copy is not cut to the size of what it replaced',
    file: files,
    from: 'if (this.isCurrent(record)) cutOff',
    to: 'cutOff',
    tests: copyTests,
  },
  {
    name: 'a copy does not replace what is appended to in the same batch',
    file: files,
    from: 'names.reserve(file);',
    to: '',
    tests: copyTests,
  },
  {
    name: 'a change beyond the end of an appender is refused',
    file: appenders,
    from: 'if (offset > record.size)',
    to: 'if (offset < 0)',
    tests,
  },
  {
    name: 'a node put back to an older copy changes no appender before it has what its peers have',
    file: 'daemon/fastdfs/appenders.ts',
    from: 'if (lag !== undefined)',
    to: 'if (lag === "")',
    tests: ['fastdfs/restored'],
  },
  {
    name: 'an unreadable entry of a log is not acknowledged',
    file: 'daemon/replication/follower.ts',
    from: 'const from = Math.max(this.cursor?.from ?? 0, this.leaveOut(unreadable));',
    to: 'this.leaveOut(unreadable); const from = this.cursor?.from ?? 0;',
    tests: ['cluster/unreadable'],
  },
  {
    name: 'an unreadable name does not end a round',
    file: 'daemon/replication/anti-entropy.ts',
    from: 'tries === UNREADABLE_TRIES) return names;',
    to: 'tries < 0) return names;',
    tests: ['cluster/unreadable'],
  },
  {
    name: 'of an append only the rest is fetched',
    file: 'daemon/replication/earlier-version.ts',
    from: 'if (!version) return false;',
    to: 'if (version !== null) return false;',
    tests: ['fastdfs/appender-copies'],
  },
  {
    name: 'a longer version that is no append is fetched whole',
    file: 'daemon/replication/downloads.ts',
    from: 'if (!(error instanceof NotToBeHad)) throw error;',
    to: 'if (error) throw error;',
    tests: ['fastdfs/appender-copies'],
  },
  {
    name: 'a piece is copied from its temporary file within the reserve',
    file: 'daemon/store/append-bytes.ts',
    from: "const size = 'zeros' in piece ? piece.zeros : piece.size;",
    to: "const size = 'zeros' in piece ? piece.zeros : 0;",
    tests: spaceTests,
  },
  {
    name: 'an appender is not made longer by more zeros than fit',
    file: 'daemon/store/append-bytes.ts',
    from: "const size = 'zeros' in piece ? piece.zeros : piece.size;",
    to: "const size = 'zeros' in piece ? 0 : piece.size;",
    tests: spaceTests,
  },
];
