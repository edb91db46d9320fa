/*
 * What must not go unnoticed: in `file`, `from` (which stands there once) becomes `to`, and one of `tests` must fail.
 * `npm run mutate` runs them.
 */
import { indexMutations } from './index.mjs';
import { replicationMutations } from './replication.mjs';

const commit = 'daemon/store/batch-commit.ts';
const log = 'daemon/store/batch-log.ts';
const checkpoints = 'daemon/store/checkpoints.ts';
const batches = 'durable-write/batches';
const faults = 'durable-write/faults';
const takeover = 'durable-write/takeover';
const incoming = 'durable-write/incoming';

export const mutations = [
  ...indexMutations,
  ...replicationMutations,
  {
    name: 'a deletion known by its key alone deletes what has come meanwhile',
    file: commit,
    from: '    this.locate();\n',
    to: '',
    tests: [takeover],
  },
  {
    name: 'the unlinks that a failed sync left are recorded',
    file: commit,
    from: 'checkpoints.leave(location);\n    this.unlinked = [];',
    to: 'void location;\n    this.unlinked = [];',
    tests: [batches],
  },
  {
    name: 'deletions whose sync failed are left for the next start',
    file: commit,
    from: 'for (const file of change.removed) if (!file.foreign) checkpoints.leave(file);',
    to: '',
    tests: [batches],
  },
  {
    name: 'records of uploads whose sync failed are withdrawn',
    file: commit,
    from: 'records.withdraw(change.added);',
    to: '',
    tests: [batches, faults],
  },
  {
    name: 'cursors are forgotten where the sync of copies failed',
    file: commit,
    from: 'if (change.added.some((file) => !file.accepted)) records.invalidateCursors();',
    to: '',
    tests: [faults, batches],
  },
  {
    name: 'foreign files are unlinked before the log',
    file: commit,
    from: 'this.attemptEach((change) => this.unlinkForeign(change));',
    to: '',
    tests: [batches],
  },
  {
    name: 'tombstones of what could not be recorded are truncated',
    file: log,
    from: '      this.takeBackTombstones(before);\n',
    to: '',
    tests: [faults, batches],
  },
  {
    name: 'files of failed changes are removed',
    file: commit,
    from: 'change.undo?.(change.added);',
    to: '',
    tests: [faults],
  },
  {
    name: 'tombstones are written',
    file: log,
    from: 'this.appendTombstones(changes);\n      records',
    to: 'records',
    tests: [batches],
  },
  {
    name: 'what write() throws reaches no other change',
    file: commit,
    from: '      } catch (error) {\n        this.fail(change, error);\n      }',
    to: '      } catch (error) {\n        throw error;\n      }',
    tests: [batches],
  },
  {
    name: 'what undo() throws reaches no other change',
    file: commit,
    from: "this.parts.warn('what a failed change had written could not be removed; the next start does it', error);",
    to: 'throw error;',
    tests: [batches],
  },
  {
    name: 'what alongside() throws reaches no other change',
    file: log,
    from: 'if (changes.length === 1) {',
    to: 'for (const change of changes.slice(1)) this.fail(change, error);\n      if (changes.length > 0) {',
    tests: [batches],
  },
  {
    name: 'what finish() throws reaches no other change',
    file: commit,
    from: 'change.failure ??= error;',
    to: 'throw error;',
    tests: [batches],
  },
  {
    name: 'what a listener of the log throws reaches no change',
    file: commit,
    from: "this.parts.warn('peers could not be told of new log entries; they are with the next batch', error);",
    to: 'throw error;',
    tests: [batches],
  },
  {
    name: 'what a batch unlinks is named by the next checkpoint',
    file: checkpoints,
    from: '...this.unsynced, ',
    to: '',
    tests: [batches],
  },
  {
    name: 'leftovers are named by every checkpoint',
    file: checkpoints,
    from: '...this.leftovers.values(), ...this.unsynced',
    to: '...this.unsynced',
    tests: [batches],
  },
  {
    name: 'leftovers are tried again',
    file: checkpoints,
    from: 'for (const [key, file] of [...this.leftovers]) {',
    to: 'for (const [key, file] of [...this.leftovers].slice(0, 0)) {',
    tests: [batches],
  },
  {
    name: 'a copy that was deleted is not taken',
    file: 'daemon/store/copies.ts',
    from: 'copies.filter(({ key }) => !this.records.isDeleted(key))',
    to: 'copies.filter(() => true)',
    tests: [takeover],
  },
  {
    name: 'each ID of 4 GiB and more has a second of its own',
    file: 'daemon/store/identifiers.ts',
    from: 'if (size >= FOUR_GIB) this.left = 0;',
    to: '',
    tests: ['durable-write/identifiers'],
  },
  {
    name: 'the second never goes back',
    file: 'daemon/store/identifiers.ts',
    from: 'if (now > this.second)',
    to: 'if (now !== this.second)',
    tests: ['durable-write/identifiers'],
  },
  {
    name: 'a large file is flushed before it has a name',
    file: 'daemon/store/incoming-file.ts',
    from: 'if (this.flushes) await storePath.calls.fdatasync(descriptor);',
    to: '',
    tests: [batches],
  },
  {
    name: 'an end awaits every step',
    file: 'daemon/store/incoming-file.ts',
    from: 'this.closing ??= this.steps.then(end);',
    to: 'this.closing ??= end();',
    tests: [incoming],
  },
  {
    name: 'a missing file is not tried for ever',
    file: 'daemon/index/missing.ts',
    from: 'due <= ? AND tries < ',
    to: 'due <= ? AND -1 < ',
    tests: ['index/missing'],
  },
  {
    name: 'tries of a missing file are counted',
    file: 'daemon/index/missing.ts',
    from: 'const tries = file.tries + 1;',
    to: 'const tries = file.tries;',
    tests: ['index/missing'],
  },
  {
    name: 'every listener of the log is told',
    file: 'daemon/index/replication-log.ts',
    from: 'failures.push(error);',
    to: 'throw error;',
    tests: [batches],
  },
  {
    name: 'a batch on a file system that became read-only is not durable',
    file: 'daemon/store/calls.ts',
    from: "return errorCode(error) === 'EROFS';",
    to: 'return false;',
    tests: ['durable-write/read-only'],
  },
  {
    name: 'a store path gets back every page of its tombstones',
    file: 'daemon/store/reconcile.ts',
    from: 'if (lost.size === 0) return;',
    to: 'if (lost.size === 0 || last.length > 0) return;',
    tests: ['durable-write/restored-tombstones'],
  },
  {
    name: 'a store path is not given the tombstones that it has',
    file: 'daemon/store/reconcile.ts',
    from: "for (const key of tombstones.read()) lost.delete(key.toString('latin1'));",
    to: '',
    tests: ['durable-write/restored-tombstones'],
  },
  {
    name: 'a store path is used by one process',
    file: 'daemon/store/disk.ts',
    from: 'this.unlock = lock?.(this.root);',
    to: '',
    tests: ['durable-write/shared-path'],
  },
  {
    name: 'a store path of a later layout is refused',
    file: 'daemon/store/marker.ts',
    from: 'if (version !== LAYOUT_VERSION)',
    to: 'if (version === LAYOUT_VERSION + LAYOUT_VERSION)',
    tests: ['formats/versions'],
  },
  {
    name: 'a request of another version of the protocol is refused',
    file: 'daemon/cluster/signature.ts',
    from: "protocol === 1 ? '' : protocol",
    to: "''",
    tests: ['formats/versions'],
  },
];
