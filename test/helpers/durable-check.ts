import { hash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Copy } from '../../daemon/store/copies.js';
import { filePath } from '../../daemon/store/layout.js';
import { keyOf, metadataName } from '../../daemon/store/names.js';
import { NoSuchUpload } from '../../daemon/store/resumable.js';
import fileId from '../../file-id/file-id.js';
import { content, foreign, type Outcome, PEER } from './durable-changes.js';
import { bytesOf, type Modules } from './faulty-store.js';

/** Errors in the copies that this node acknowledged, or would acknowledge, to a peer. */
export function* checkCopies(modules: Modules, copies: readonly Copy[]): Generator<string> {
  for (const copy of copies) {
    const isHere = modules.index.find(copy.key) !== undefined;
    const isRight = bytesOf(modules, copy)?.length === fileId.decodeName(copy.name).size;
    if (isHere ? !isRight : modules.index.missing.find(copy.key) === undefined)
      yield `the copy ${copy.name} is not here`;
  }
}

/** Errors found after a restart. */
export async function* check(modules: Modules, outcome: Outcome, isStrict: boolean): AsyncGenerator<string> {
  const { index, paths, resumable, store } = modules;
  for (const [id, bytes] of outcome.kept) {
    const file = fileId.decode(id);
    if (!index.find(keyOf(file.name))) yield `the record of ${id} is lost`;
    if (!bytesOf(modules, file)?.equals(bytes)) yield `the file of ${id} is lost`;
  }
  for (const id of outcome.deleted) {
    if (index.find(keyOf(fileId.decode(id).name))) yield `${id} has a record again`;
    if (bytesOf(modules, fileId.decode(id))) yield `${id} is back`;
  }
  if (index.replicationLog.cursor(PEER)) yield* checkCopies(modules, outcome.copies);
  const { of, bytes } = outcome.metadata;
  const found = store.metadata(fileId.decode(of));
  // A refused change may have been durable before it failed.
  if (isStrict && bytes && !found?.equals(bytes)) yield `the metadata is ${found}, not ${bytes}`;
  if (bytes && !found) yield 'the metadata is lost';
  const left = bytesOf(modules, fileId.decode(outcome.appender.id));
  if (!outcome.appender.contents.some((one) => (one === undefined ? left === undefined : left?.equals(one))))
    yield `the appender has ${left?.length} bytes, not one of its contents`;
  // Consistency: every record has its file, every file its record, and nothing else exists.
  const known = new Set([...outcome.kept.keys(), ...outcome.unsure, outcome.upload?.file, outcome.appender.id]);
  for (const record of index.all()) {
    const { storePath, directory, name, sha256 } = record;
    const bytes = bytesOf(modules, record);
    if (!bytes || !Buffer.from(hash('sha256', bytes), 'hex').equals(sha256))
      yield `${name} has a record and no right file`;
    const isCopy = record.key.readUInt32LE(0) === PEER;
    // A resumable upload may have been stored without an acknowledgement; its client asks again.
    const isPieces = bytes?.equals(content.pieces) === true;
    const isMetadata = name === metadataName(fileId.decode(outcome.metadata.of).name);
    const isKnown = isCopy || isPieces || isMetadata || known.has(fileId.join('group1', storePath, directory, name));
    if (isStrict && !isKnown) yield `${name} is here, and was refused`;
  }
  for (const path of paths) {
    for (const directory of [0, 3, 7]) {
      const within = filePath(path.root, directory, '');
      for (const name of existsSync(within) ? readdirSync(within) : []) {
        const isForeign = name === foreign.name;
        if (!isForeign && !index.find(keyOf(name))) yield `${name} is on the disk and has no record`;
      }
    }
    const temporaries = readdirSync(join(path.root, 'tmp')).filter((name) => !name.startsWith('upload-'));
    if (temporaries.length > 0) yield `left in tmp: ${temporaries}`;
    // Cut-off appends are kept.
    const quarantined = readdirSync(join(path.root, 'quarantine')).filter((name) => !name.includes('.from-'));
    if (isStrict && quarantined.length > 0) yield `in quarantine: ${quarantined}`;
  }
  // Files whose deletion is in the log do not exist.
  for (const { removed } of index.replicationLog.read(0, 1000)) {
    if (removed?.foreign && bytesOf(modules, removed)) yield 'peers are told to delete a foreign file that is here';
  }
  // A resumable upload has all acknowledged bytes and can be completed.
  if (outcome.upload && outcome.upload.file === null) {
    const { id, offset } = outcome.upload;
    try {
      let upload = await resumable.look(id);
      if (upload.offset < offset) yield `upload ${id} is at ${upload.offset}, not at ${offset}`;
      const rest = content.pieces.subarray(upload.offset);
      const receive = async (sink: { write(chunk: Buffer): Promise<void> | undefined }) =>
        void (await sink.write(rest));
      if (upload.file === null) upload = await resumable.append(id, { receive, isWhole: false });
      if (upload.file === null) yield `upload ${id} does not end`;
      else if (!bytesOf(modules, fileId.decode(upload.file))?.equals(content.pieces))
        yield `upload ${id} has other bytes`;
    } catch (error) {
      if (!(error instanceof NoSuchUpload) || offset > 0) yield `upload ${id}: ${error}`;
    }
  } else if (outcome.upload) outcome.kept.set(outcome.upload.file as string, content.pieces);
  // A deletion that failed can be repeated.
  for (const id of outcome.unsure) {
    await store.remove(fileId.decode(id));
    if (bytesOf(modules, fileId.decode(id))) yield `${id} cannot be deleted`;
  }
}
