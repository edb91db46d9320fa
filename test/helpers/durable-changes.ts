import { hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { realCalls } from '../../daemon/store/calls.js';
import type { Copy } from '../../daemon/store/copies.js';
import { filePath } from '../../daemon/store/layout.js';
import fileId from '../../file-id/file-id.js';
import { addSlave, bytesOf, type Modules, open, upload, uploadAll, withPiece } from './faulty-store.js';
import { randomFrom } from './random.js';

/** The server id of the peer whose files are copied. */
export const PEER = 2;
const LARGE = 600 * 1024;

const random = randomFrom(1);
/** Contents of different sizes, by the change that stores them. */
export const content = {
  old: random.bytes(1000),
  duplicate: random.bytes(1000),
  small: random.bytes(1200),
  large: random.bytes(LARGE),
  pieces: random.bytes(LARGE),
  copy: random.bytes(900),
  fetched: random.bytes(LARGE + 1),
  slave: random.bytes(800),
  largeSlave: random.bytes(LARGE + 2),
  metadata: Buffer.from('height\x02100\x01width\x02200'),
  laterMetadata: Buffer.from('height\x0250'),
  after: random.bytes(500),
  appender: random.bytes(300),
};
let counter = 0;

/** A copy of a file of the peer. */
function copyOf(bytes: Buffer, from: Copy['content']): Copy {
  const key = fileId.encodeKey({
    ...{ serverId: PEER, created: Math.floor(Date.now() / 1000) - 100 },
    ...{ size: bytes.length, crc32: crc32(bytes), counter: counter++ },
  });
  const name = key.toString('base64url') + fileId.makeTail('bin', 0);
  const sha256 = Buffer.from(hash('sha256', bytes), 'hex');
  return { key, name, storePath: 0, directory: 7, size: bytes.length, sha256, content: from };
}

/** A file that FastDFS stored. */
export const foreign = { storePath: 0, directory: 3, name: 'wKgAZ2XQAAAAAAAAAAAD6HTj-0E417.txt' };

/** Prepares the state in which all runs begin: three files and a foreign one. */
export async function prepare(directory: string): Promise<string[]> {
  const modules = await open(directory, 'batch');
  const ids = await upload(modules, content.old, content.duplicate, content.small);
  const place = filePath(modules.paths[0]?.root as string, foreign.directory, foreign.name);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, 'foreign');
  const appenders = await uploadAll(modules, [content.appender], true);
  await modules.store.close();
  await modules.index.close();
  return [...ids, ...appenders];
}

/** What was acknowledged, and what failed. */
export interface Outcome {
  kept: Map<string, Buffer>;
  deleted: Set<string>;
  /** IDs whose deletion failed, so that their state is unknown. */
  unsure: Set<string>;
  copies: Copy[];
  /** Number of copies that were acknowledged to the peer. */
  cursor: number;
  /** A resumable upload, with the last acknowledged offset. */
  upload: { id: string; offset: number; file: string | null } | undefined;
  /** The last metadata of a file that was acknowledged. */
  metadata: { of: string; bytes: Buffer | undefined };
  /** An appender: its last acknowledged content, then those of changes that were refused since. Undefined: it was renamed. */
  appender: { id: string; contents: (Buffer | undefined)[] };
  refused: unknown[];
}

const cursor = { epoch: 'theirs', sequence: 9, from: 0 };

/** Runs each operation of the durable write once. An operation that fails must not block the others. */
export async function work(modules: Modules, ids: readonly string[]): Promise<Outcome> {
  const { store, copies, index, paths, resumable } = modules;
  const [old, duplicate, kept, appender] = ids as [string, string, string, string];
  const outcome: Outcome = {
    ...{ kept: new Map([[kept, content.small]]), deleted: new Set(), unsure: new Set(), copies: [], cursor: 0 },
    ...{ upload: undefined, metadata: { of: kept, bytes: undefined }, refused: [] },
    appender: { id: appender, contents: [content.appender] },
  };
  const attempt = async (act: () => Promise<unknown>) => {
    try {
      await act();
    } catch (error) {
      outcome.refused.push(error);
    }
  };
  const uploads = (...contents: Buffer[]) =>
    attempt(async () => {
      const made = await upload(modules, ...contents);
      for (const [number, id] of made.entries()) outcome.kept.set(id, contents[number] as Buffer);
    });
  const deletion = async (id: string) => {
    outcome.unsure.add(id);
    await attempt(async () => {
      await store.remove(fileId.decode(id));
      outcome.unsure.delete(id);
      outcome.deleted.add(id);
    });
  };
  outcome.kept.set(old, content.old).set(duplicate, content.duplicate);
  outcome.kept.delete(old);
  outcome.kept.delete(duplicate);
  await Promise.all([
    uploads(content.small),
    uploads(content.duplicate, content.after),
    deletion(old),
    deletion(fileId.join('group1', foreign.storePath, foreign.directory, foreign.name)),
  ]);
  await Promise.all([uploads(content.large), deletion(duplicate)]);
  await attempt(async () => {
    const fetched = paths[0]?.openTemporary('fetched') as { path: string; descriptor: number };
    writeFileSync(fetched.descriptor, content.fetched);
    realCalls.closeSync(fetched.descriptor);
    outcome.copies = [
      copyOf(content.copy, content.copy),
      copyOf(content.copy, content.copy),
      copyOf(content.fetched, { temporary: fetched.path, linked: false }),
    ];
    await copies.take({
      copies: outcome.copies,
      removed: [{ ...copyOf(content.after, undefined), foreign: false, accepted: false }],
      alongside: (failed) => {
        for (const { copy, reason } of failed) index.missing.add(copy, { peer: PEER, sequence: 1, reason });
        index.replicationLog.moveCursor(PEER, cursor);
      },
    });
    outcome.cursor = cursor.sequence;
  });
  await attempt(async () => {
    const id = `1-${counter++}`;
    await resumable.create({ id, size: content.pieces.length, extension: 'bin', metadata: '' });
    outcome.upload = { id, offset: 0, file: null };
    for (const [from, to] of [
      [0, LARGE / 2],
      [LARGE / 2, LARGE],
    ]) {
      const receive = async (sink: { write(chunk: Buffer): Promise<void> | undefined }) =>
        void (await sink.write(content.pieces.subarray(from, to)));
      const { offset, file } = await resumable.append(id, { receive, isWhole: false });
      outcome.upload = { id, offset, file };
    }
  });
  const slave = (prefix: string, bytes: Buffer) =>
    attempt(async () => outcome.kept.set(await addSlave(modules, kept, prefix, bytes), bytes));
  const metadata = (bytes: Buffer) =>
    attempt(async () => {
      await store.setMetadata(fileId.decode(kept), bytes);
      outcome.metadata.bytes = bytes;
    });
  await Promise.all([slave('_small', content.slave), slave('_same', content.small), metadata(content.metadata)]);
  await Promise.all([slave('_large', content.largeSlave), metadata(content.laterMetadata)]);
  await uploads(content.large);
  await changeAppender(modules, outcome);
  return outcome;
}

/** Changes an appender in each way, and makes a normal file of it. */
async function changeAppender(modules: Modules, { appender, kept, refused }: Outcome): Promise<void> {
  const { appenders } = modules.store;
  const id = fileId.decode(appender.id);
  const change = { limit: 2 ** 30, settle: async () => {} };
  const attempt = async (next: Buffer | undefined, act: () => Promise<unknown>) => {
    try {
      await act();
      appender.contents = [next];
    } catch (error) {
      appender.contents.push(next);
      refused.push(error);
    }
  };
  // Also a refused change may have been made.
  const now = () => bytesOf(modules, id)?.subarray(0, modules.store.recordOf(id)?.size) ?? Buffer.alloc(0);
  const { after, large } = content;
  for (const piece of [after, large]) {
    await attempt(Buffer.concat([now(), piece]), () =>
      withPiece(modules, appender.id, piece, (received) => appenders.append(id, received, change)),
    );
  }
  const changed = Buffer.concat([now().subarray(0, 10), after.subarray(0, 5), now().subarray(15)]);
  await attempt(changed, () =>
    withPiece(modules, appender.id, after.subarray(0, 5), (piece) => appenders.modify(id, 10, piece, change)),
  );
  await attempt(now().subarray(0, 100), () => appenders.truncate(id, 100, change));
  const last = now();
  await attempt(undefined, async () => {
    const normal = await appenders.toNormal(id, change.settle);
    kept.set(normal.id, last);
  });
  // If its removal failed, it remains beside the new name.
  if (appender.contents.includes(undefined)) appender.contents.push(last);
}
