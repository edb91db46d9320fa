/*
 * Mutations: `from`, which occurs once in `file`, is replaced by `to`, and one of `tests` must fail. The name is the promise
 * that the mutation breaks. `npm run mutate` runs them.
 */

import { adoptionMutations } from './adoption.mjs';
import { appenderMutations } from './appenders.mjs';
import { clientMutations } from './clients.mjs';
import { downloadMutations } from './downloads.mjs';

import { eventMutations } from './events.mjs';
import { fastdfsMutations } from './fastdfs.mjs';

import { fastdfsProtocolMutations } from './fastdfs-protocol.mjs';
import { indexMutations } from './index.mjs';
import { listMutations } from './lists.mjs';
import { originMutations } from './origins.mjs';
import { pageMutations } from './page.mjs';
import { phpMutations } from './php.mjs';
import { pictureMutations } from './pictures.mjs';
import { replicationMutations } from './replication.mjs';
import { rightsMutations } from './rights.mjs';

const commit = 'daemon/store/batch-commit.ts';
const log = 'daemon/store/batch-log.ts';
const checkpoints = 'daemon/store/checkpoints.ts';
const batches = 'durable-write/batches';
const faults = 'durable-write/faults';
const takeover = 'durable-write/takeover';
const slaves = 'durable-write/slaves';
const incoming = 'durable-write/incoming';

export const mutations = [
  ...adoptionMutations,
  ...clientMutations,
  ...downloadMutations,
  ...appenderMutations,
  ...eventMutations,
  ...fastdfsMutations,
  ...fastdfsProtocolMutations,
  ...indexMutations,
  ...listMutations,
  ...originMutations,
  ...phpMutations,
  ...pictureMutations,
  ...replicationMutations,
  ...pageMutations,
  ...rightsMutations,
  {
    name: 'a deletion by key alone deletes a file that arrived in the meantime',
    file: commit,
    from: '    this.locate();\n',
    to: '',
    tests: [takeover],
  },
  {
    name: 'unlinks left by a failed sync are recorded',
    file: commit,
    from: 'checkpoints.leave(location);\n    this.unlinked = [];',
    to: 'void location;\n    this.unlinked = [];',
    tests: [batches],
  },
  {
    name: 'deletions whose sync failed are left for recovery',
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
    name: 'cursors are invalidated if the sync of copies failed',
    file: commit,
    from: 'if (change.added.some((file) => !file.accepted)) records.invalidateCursors();',
    to: '',
    tests: [faults, batches],
  },
  {
    name: 'tombstones of changes that could not be recorded are truncated',
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
    name: 'an error in write() affects no other change',
    file: commit,
    from: '      } catch (error) {\n        this.fail(change, error);\n      }',
    to: '      } catch (error) {\n        throw error;\n      }',
    tests: [batches],
  },
  {
    name: 'an error in undo() affects no other change',
    file: commit,
    from: "this.parts.warn('what a failed change had written could not be removed; the next start does it', error);",
    to: 'throw error;',
    tests: [batches],
  },
  {
    name: 'an error in alongside() affects no other change',
    file: log,
    from: 'if (changes.length === 1) {',
    to: 'for (const change of changes.slice(1)) this.fail(change, error);\n      if (changes.length > 0) {',
    tests: [batches],
  },
  {
    name: 'an error in finish() affects no other change',
    file: commit,
    from: 'change.failure ??= error;',
    to: 'throw error;',
    tests: [batches],
  },
  {
    name: 'an error in a listener of the log affects no change',
    file: commit,
    from: "this.parts.warn('peers could not be told of new log entries; they are with the next batch', error);",
    to: 'throw error;',
    tests: [batches],
  },
  {
    name: 'the unlinks of a batch are listed in the next checkpoint',
    file: checkpoints,
    from: '...this.unsynced, ',
    to: '',
    tests: [batches],
  },
  {
    name: 'leftovers are listed in every checkpoint',
    file: checkpoints,
    from: '...this.leftovers.values(), ...this.unsynced',
    to: '...this.unsynced',
    tests: [batches],
  },
  {
    name: 'the removal of leftovers is retried',
    file: checkpoints,
    from: 'for (const [key, file] of [...this.leftovers]) {',
    to: 'for (const [key, file] of [...this.leftovers].slice(0, 0)) {',
    tests: [batches],
  },
  {
    name: 'slaves are deleted with their master',
    file: 'daemon/store/deletion.ts',
    from: "keepsSlaves || id.kind === 'slave' ? [] : this.slavesOf(id, isForeign)",
    to: '[]',
    tests: ['uploads/slaves'],
  },
  {
    name: 'slaves are kept where that is asked for',
    file: 'daemon/store/deletion.ts',
    from: "keepsSlaves || id.kind === 'slave' ? []",
    to: "id.kind === 'slave' ? []",
    tests: ['uploads/slaves'],
  },
  {
    name: 'no slaves are taken while a node runs an earlier version',
    file: 'daemon/store/store.ts',
    from: "if (reason !== undefined) throw new StoreError('unavailable', reason);",
    to: '',
    tests: ['durable-write/earlier-peers'],
  },
  {
    name: 'an index that lacks the last batch before a clean stop is found out',
    file: 'daemon/store/reconcile.ts',
    from: '(isSettled ? 0 : CRASH)',
    to: '(isSettled ? CRASH : CRASH)',
    tests: ['durable-write/put-back-recent'],
  },
  {
    name: 'a clean stop is recorded on the store path',
    file: 'daemon/store/durable-write.ts',
    from: 'this.countSettled(checkpoint.batches);',
    to: '',
    tests: ['durable-write/put-back-recent'],
  },
  {
    name: 'what is cut off from an appender is kept',
    file: 'daemon/store/recover-appenders.ts',
    from: 'const kept = keepRest(path, record);',
    to: 'const kept = undefined;',
    tests: ['durable-write/put-back-recent'],
  },
  {
    name: 'a store path that is put back brings its versions',
    file: 'daemon/store/reconcile.ts',
    from: 'if (record && !isDeleted) replaceOther(',
    to: 'if (record && !path) replaceOther(',
    tests: [slaves],
  },
  {
    name: 'metadata is deleted with its file',
    file: 'daemon/store/batch-commit.ts',
    from: 'return this.parts.records.find(key) || isComing() || isThere() ?',
    to: 'return isComing() && isThere() && false ?',
    tests: [slaves],
  },
  {
    name: 'a slave does not take a name that is being taken',
    file: 'daemon/store/slaves.ts',
    from: 'names.isUnderWay({ storePath, directory, name }) ||',
    to: '',
    tests: [slaves],
  },
  {
    name: 'a slave does not take the name of a deleted one',
    file: 'daemon/store/slaves.ts',
    from: 'records.isDeleted(key) ||',
    to: '',
    tests: [slaves],
  },
  {
    name: 'a slave does not replace a foreign file',
    file: 'daemon/store/slaves.ts',
    from: 'this.pathOf(master).isTaken(directory, name)',
    to: 'false',
    tests: [slaves, 'adopt/links'],
  },
  {
    name: 'changes of the metadata of one file are made one after another',
    file: 'daemon/store/metadata-files.ts',
    from: 'if (names.isUnderWay(location)) throw new UnderWay();',
    to: '',
    tests: [slaves],
  },
  {
    name: 'a slave does not put the checkpoint back',
    file: 'daemon/store/checkpoints.ts',
    from: 'return accepted && temporary === undefined',
    to: 'return accepted',
    tests: [slaves],
  },
  {
    name: 'a record whose bytes were not durable is replaced by what is on the disk',
    file: 'daemon/store/recover-copies.ts',
    from: 'if (isThere && (await isStored(path, record))) continue;',
    to: 'if (isThere) continue;',
    tests: [slaves],
  },
  {
    name: 'a failed change restores the record that it replaced',
    file: 'daemon/index/batch-writer.ts',
    from: 'if (!replaced || this',
    to: 'if (true || this',
    tests: [faults],
  },
  {
    name: 'a file that cannot get its public name has no record',
    file: 'daemon/store/public-write.ts',
    from: 'if (unnamed.size > 0) {',
    to: 'if (false) {',
    tests: [faults],
  },
  {
    name: 'a copy of a deleted file is not taken',
    file: 'daemon/store/copies.ts',
    from: 'copies.filter(({ name }) => !isDeletedFile(name, this.records))',
    to: 'copies.filter(() => true)',
    tests: [takeover],
  },
  {
    name: 'each ID of 4 GiB and more has its own creation second',
    file: 'daemon/store/identifiers.ts',
    from: 'if (size >= FOUR_GIB) this.left = 0;',
    to: '',
    tests: ['durable-write/identifiers'],
  },
  {
    name: 'the creation second never decreases',
    file: 'daemon/store/identifiers.ts',
    from: 'if (now > this.second)',
    to: 'if (now !== this.second)',
    tests: ['durable-write/identifiers'],
  },
  {
    name: 'a large file is flushed before it is renamed to its final name',
    file: 'daemon/store/incoming-file.ts',
    from: 'if (this.flushes) await storePath.calls.fdatasync(descriptor);',
    to: '',
    tests: [batches],
  },
  {
    name: 'closing waits for every step',
    file: 'daemon/store/incoming-file.ts',
    from: 'this.closing ??= this.steps.then(end);',
    to: 'this.closing ??= end();',
    tests: [incoming],
  },
  {
    name: 'attempts for a missing file are limited',
    file: 'daemon/index/missing.ts',
    from: 'due <= ? AND tries < ',
    to: 'due <= ? AND -1 < ',
    tests: ['index/missing'],
  },
  {
    name: 'attempts for a missing file are counted',
    file: 'daemon/index/missing.ts',
    from: 'const tries = file.tries + 1;',
    to: 'const tries = file.tries;',
    tests: ['index/missing'],
  },
  {
    name: 'every listener of the log is called',
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
    name: 'all pages of tombstones are restored to a store path',
    file: 'daemon/store/reconcile.ts',
    from: 'if (lost.size === 0) return;',
    to: 'if (lost.size === 0 || last.length > 0) return;',
    tests: ['durable-write/restored-tombstones'],
  },
  {
    name: 'tombstones that a store path has are not written again',
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
