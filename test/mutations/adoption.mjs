/** Mutations of what takes in the files of FastDFS; see mutations.mjs. */
const adopter = 'daemon/store/adopter.ts';
const adoptTest = ['adopt/adopt'];

export const adoptionMutations = [
  {
    name: 'a dry run of adopt changes nothing',
    file: adopter,
    from: 'if (options.dryRun) adopted',
    to: 'if (checked.length === 0) adopted',
    tests: adoptTest,
  },
  {
    name: 'a file that does not match its name is not adopted',
    file: adopter,
    from: 'if (difference === undefined) return { ...one, read };',
    to: 'return { ...one, read };',
    tests: adoptTest,
  },
  {
    name: 'an adopted file does not move the checkpoint back',
    file: 'daemon/store/checkpoints.ts',
    from: ' && !existed',
    to: '',
    tests: adoptTest,
  },
  {
    name: 'a file that a peer has copied at the same time is not recorded twice',
    file: 'daemon/index/batch-writer.ts',
    from: 'file.accepted && !file.existed ? this.insertFile',
    to: 'file.accepted ? this.insertFile',
    tests: ['index/records'],
  },
  {
    name: 'rebuild finds adopted files again',
    file: 'daemon/cli/rebuild.ts',
    from: 'if (!file.ours && !wasRecorded(path, file)) {',
    to: 'if (!file.ours) {',
    tests: adoptTest,
  },
  {
    name: 'a deleted foreign file is removed when an older copy of the disk brings it back',
    file: 'daemon/store/reconcile.ts',
    from: 'if (!isDeleted && (!file.ours',
    to: 'if (!file.ours || (!isDeleted',
    tests: ['adopt/group'],
  },
  {
    name: 'the metadata of a foreign file is deleted with it',
    file: 'daemon/store/batch-commit.ts',
    from: 'isComing() || isThere()',
    to: 'isComing()',
    tests: ['durable-write/batches'],
  },
  {
    name: 'a node that only reads opens no store path',
    file: 'daemon/main.ts',
    from: '      path.openReadOnly();\n      return path;',
    to: '      path.openReadOnly();',
    tests: ['adopt/read-only'],
  },
  {
    name: 'a node that only reads changes no access rights',
    file: 'daemon/main.ts',
    from: 'settings.readOnly ? { ...settings, storePaths: [] } : settings',
    to: 'settings',
    tests: ['adopt/read-only'],
  },
  {
    name: 'the count of foreign files leaves deleted packed files out',
    file: 'daemon/replication/adoption.ts',
    from: 'this.parts.index.isDeleted(keyOf(name))',
    to: 'keyOf(name).length === 0',
    tests: ['adopt/large'],
  },
  {
    name: 'a slot whose header two chunks share is found',
    file: 'daemon/store/slots.ts',
    from: 'start += position;',
    to: 'start += Math.max(position, bytesRead);',
    tests: ['adopt/large'],
  },
  {
    name: 'the names of packed links are read from the binlogs of FastDFS',
    file: 'daemon/store/foreign.ts',
    from: 'let word = 0; line',
    to: 'let word = line.lastIndexOf(SPACE) + 1; line',
    tests: ['adopt/binlogs'],
  },
  {
    name: 'compressed binlogs of FastDFS are read',
    file: 'daemon/store/foreign.ts',
    from: "if (!file.endsWith('.gz')) return",
    to: 'if (file) return',
    tests: ['adopt/binlogs'],
  },
  {
    name: 'a binlog that FastDFS is compressing is read as it was',
    file: 'daemon/store/foreign.ts',
    from: "!names.has(name.replace(/\\.gz$/, '')) || ",
    to: "name.endsWith('.gz') || ",
    tests: ['adopt/binlogs'],
  },
];
