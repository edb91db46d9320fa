import type Database from 'better-sqlite3';

/*
 * Tables of the index. It is derived from the store paths; "fidfs rebuild" recreates it.
 *
 *   file        by key (20 bytes, which sort by source and time; see store/names.ts); place = store path << 16 | directory;
 *               size is null if the key contains it, version if the name determines the content
 *   content     by the first 48 bits of the SHA-256: keys of the files with this content; linked = 1: the file is a hard link
 *               to another file with a row
 *   tombstone   by key: deleted files, kept permanently
 *   state       one row: totals, and the checkpoint before which everything is on stable storage
 *   store_path  identity and last directory of each store path
 *   log         one row: the sequence number up to which the replication log was truncated
 *   epoch       the log's epochs in order, and the sequence number after which each began
 *   operation   the replication log by sequence number; removed is null for an upload, else the deleted file as JSON
 *   cursor      by peer: the position up to which its log was followed, and the one after which this node holds its files
 *   upload      by id: state of resumable uploads; file is the ID after the upload is complete
 *   scrub       one row: the last key checked, when this round began, and when the last complete one began (at first, when
 *               the index was created)
 *   deferred    deletions of peers that wait for an unavailable store path
 *   event       the outbox: uploads and deletions that are to be published (see outbox.ts)
 *   missing     files that this node should hold but does not (yet), the reason, and when each is tried again
 */
const STEPS = [
  `CREATE TABLE file (key BLOB PRIMARY KEY, place INTEGER NOT NULL, tail TEXT NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE content (prefix INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (prefix, key)) WITHOUT ROWID;
  CREATE TABLE tombstone (key BLOB PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), files INTEGER, bytes INTEGER, checkpoint TEXT);
  CREATE TABLE store_path (number INTEGER PRIMARY KEY, identity TEXT NOT NULL, root TEXT NOT NULL);
  INSERT INTO state VALUES (1, 0, 0, '{"second":0,"directory":0,"tombstones":[],"deletions":[],"copies":[]}');`,
  `CREATE TABLE log (one INTEGER PRIMARY KEY CHECK (one = 1), incarnation TEXT NOT NULL, cut INTEGER NOT NULL);
  INSERT INTO log VALUES (1, lower(hex(randomblob(8))), 0);
  CREATE TABLE operation (number INTEGER PRIMARY KEY, key BLOB NOT NULL, time INTEGER NOT NULL, removed TEXT);
  CREATE TABLE cursor (peer INTEGER PRIMARY KEY, incarnation TEXT NOT NULL, number INTEGER NOT NULL);
  CREATE TABLE missing (key BLOB PRIMARY KEY, place INTEGER NOT NULL, tail TEXT NOT NULL, sha256 BLOB NOT NULL,
    peer INTEGER NOT NULL, number INTEGER NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE scrub (one INTEGER PRIMARY KEY CHECK (one = 1), position BLOB NOT NULL, started INTEGER,
    before INTEGER NOT NULL);
  INSERT INTO scrub VALUES (1, x'', NULL, strftime('%s', 'now'));
  CREATE INDEX missing_due ON missing (due);
  CREATE INDEX missing_number ON missing (peer, number);`,
  `ALTER TABLE content ADD COLUMN linked INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE operation ADD COLUMN linked INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE state ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;`,
  `CREATE TABLE upload (id TEXT PRIMARY KEY, size INTEGER NOT NULL, offset INTEGER NOT NULL, crc32 INTEGER NOT NULL,
    storePath INTEGER NOT NULL, extension TEXT NOT NULL, metadata TEXT NOT NULL, touched INTEGER NOT NULL, file TEXT) WITHOUT ROWID;
  CREATE INDEX upload_touched ON upload (touched);`,
  `CREATE TABLE epoch (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, start INTEGER NOT NULL);
  INSERT INTO epoch (id, start) SELECT incarnation, 0 FROM log;
  ALTER TABLE log DROP COLUMN incarnation;
  ALTER TABLE cursor RENAME COLUMN incarnation TO epoch;
  ALTER TABLE cursor ADD COLUMN "from" INTEGER NOT NULL DEFAULT 0;`,
  `CREATE TABLE deferred (peer INTEGER NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, "foreign" INTEGER NOT NULL,
    storePath INTEGER NOT NULL, PRIMARY KEY (peer, number, id)) WITHOUT ROWID;
  CREATE INDEX deferred_path ON deferred (storePath);`,
  `ALTER TABLE file ADD COLUMN size INTEGER;
  ALTER TABLE file ADD COLUMN version INTEGER;
  CREATE INDEX file_sized ON file (key) WHERE size IS NOT NULL;
  CREATE INDEX file_appender ON file (key) WHERE version > 0 AND length(tail) = 7;
  ALTER TABLE missing ADD COLUMN size INTEGER;
  ALTER TABLE missing ADD COLUMN version INTEGER;`,
  `CREATE TABLE event (number INTEGER PRIMARY KEY AUTOINCREMENT, epoch INTEGER NOT NULL, time INTEGER NOT NULL,
    deleted INTEGER NOT NULL, key BLOB NOT NULL, place INTEGER NOT NULL, tail TEXT NOT NULL, size INTEGER, sha256 BLOB);`,
];

/**
 * Creates the tables, or upgrades an index of an earlier version. Throws if the index has a later version.
 * @param upgrades false if a node of an earlier version may be using the index now; then throws for an earlier version, too
 */
export function prepareSchema(database: Database.Database, file: string, upgrades = true): void {
  const version = Number(database.pragma('user_version', { simple: true }));
  if (version > STEPS.length) {
    throw new Error(
      `the index ${file} has version ${version}, this fidfs knows ${STEPS.length}; run a later one, or "fidfs rebuild"`,
    );
  }
  if (!upgrades && version < STEPS.length) {
    throw new Error(
      `the index ${file} has version ${version}, this fidfs makes ${STEPS.length} of it at the next start; start the node first`,
    );
  }
  for (const [done, step] of STEPS.entries()) {
    if (done >= version) database.exec(`BEGIN; ${step} PRAGMA user_version = ${done + 1}; COMMIT`);
  }
}
