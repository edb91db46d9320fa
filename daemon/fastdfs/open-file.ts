import { type FileHandle, open } from 'node:fs/promises';
import type { Dispatcher } from 'undici';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { DAEMON_MARK_HEADER, daemonMark, READ_MARK_HEADER, readMark, readMarkKey } from '../cluster/read-mark.js';
import { changerOf } from '../operations/changer.js';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import { errorCode, isNotFound } from '../store/errors.js';
import { filePath } from '../store/layout.js';

/** Bytes read from the disk and written to the socket at a time. */
const CHUNK = 256 * 1024;
/** A node that sends nothing for this long is not waited for any longer. */
const PATIENCE_MILLISECONDS = 5000;

/** What reading files needs of the node. */
export type ReadParts = Pick<Node, 'settings' | 'store' | 'cluster'>;

/** A file of any group that can be read, on this node's disk or from a peer. Must be closed. */
export interface OpenFile {
  /** Bytes. */
  size: number;
  /** The bytes of a range; rejects if they are not whole. Closes the file at its end. */
  read(offset: number, count: number): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/**
 * Opens a file of this node or of a peer. Undefined if it does not exist. Rejects with a Problem (`unavailable`) if a node that may
 * have it does not answer.
 */
export async function openFile(id: FileId & { text: string }, node: ReadParts): Promise<OpenFile | undefined> {
  const { store, cluster } = node;
  if (id.group === cluster.ownGroup) {
    if (store.isDeleted(id)) return undefined;
    const changer = id.kind === 'appender' ? cluster.peer(changerOf(id.source, node.settings)) : undefined;
    // Only the node that changes an appender is sure to have its last version.
    const newest = changer?.isUp ? await openAt(changer, id, node) : undefined;
    if (newest) return newest;
    const here = await openHere(id, node);
    if (here) return here;
  }
  return openElsewhere(id, node);
}

async function openHere(id: FileId, { store }: ReadParts): Promise<OpenFile | undefined> {
  const path = store.paths[id.storePath];
  if (!path?.isReadable) return undefined;
  const plain = await openPart(filePath(path.root, id.directory, id.name), 0);
  if (plain || id.kind !== 'trunk') return plain;
  // A file that FastDFS has packed, and that was not adopted yet.
  const packed = store.packed.find(id);
  return packed && openPart(packed.path, packed.offset, packed.size);
}

/**
 * Opens a part of a file on this node's disk; undefined if there is no such file.
 * @param start offset of the part
 * @param length its length; without it to the end
 */
async function openPart(path: string, start: number, length?: number): Promise<OpenFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    // ELOOP: a symbolic link that leads to itself.
    if (isNotFound(error) || errorCode(error) === 'ELOOP') return undefined;
    throw error;
  }
  const close = () => handle.close();
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      await close();
      return undefined;
    }
    const size = length ?? stat.size;
    return { size, close, read: (offset, count) => readHere(handle, start + offset, count) };
  } catch (error) {
    await close();
    throw error;
  }
}

async function* readHere(handle: FileHandle, offset: number, count: number): AsyncGenerator<Buffer> {
  try {
    for (let done = 0; done < count; ) {
      const length = Math.min(CHUNK, count - done);
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(length), 0, length, offset + done);
      if (bytesRead === 0) throw new Error('a file became shorter while it was sent');
      done += bytesRead;
      yield bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** Asks the nodes of the file's group: its source first, then those that are up. */
async function openElsewhere(id: FileId & { text: string }, node: ReadParts): Promise<OpenFile | undefined> {
  const { source } = id;
  const rank = ({ id: peer, reachable }: Peer) =>
    (reachable ? 0 : 2) + ('serverId' in source && source.serverId === peer ? 0 : 1);
  const peers = node.cluster.peersOf(id.group).toSorted((one, other) => rank(one) - rank(other));
  let unanswered = 0;
  for (const peer of peers) {
    const file = await openAt(peer, id, node);
    if (file) return file;
    if (file === undefined) unanswered++;
  }
  if (unanswered > 0) throw new Problem('unavailable', 'A node that may have this file cannot be reached; try again.');
  return undefined;
}

/** Asks one node for a file. Null if it has none, undefined if it does not say. */
async function openAt(peer: Peer, { text }: { text: string }, node: ReadParts): Promise<OpenFile | null | undefined> {
  const answer = await ask(peer, text, node, 'HEAD').catch(() => undefined);
  if (answer?.statusCode === 404) return null;
  if (answer?.statusCode !== 200) return undefined;
  const size = Number(answer.headers['content-length']);
  return { size, close: async () => {}, read: (offset, count) => readElsewhere(peer, text, node, offset, count) };
}

/** Requests a file from the nginx of a peer, marked as a request of a node, so that it asks no others. */
async function ask(
  { client, id }: Peer,
  text: string,
  { settings }: ReadParts,
  method: 'GET' | 'HEAD',
  headers: Record<string, string> = {},
): Promise<Dispatcher.ResponseData> {
  const key = readMarkKey(settings.peerSecret ?? '');
  const marks = {
    [READ_MARK_HEADER]: readMark(key, text, settings.serverId, id),
    [DAEMON_MARK_HEADER]: daemonMark(key, text, settings.serverId, id),
  };
  const answer = await client.raw(`/${text}`, {
    ...{ method, headers: { ...headers, ...marks } },
    headersTimeout: PATIENCE_MILLISECONDS,
    bodyTimeout: PATIENCE_MILLISECONDS,
  });
  if (method === 'HEAD' || answer.statusCode >= 300) await answer.body.dump();
  return answer;
}

async function* readElsewhere(
  peer: Peer,
  text: string,
  node: ReadParts,
  offset: number,
  count: number,
): AsyncGenerator<Buffer> {
  const answer = await ask(peer, text, node, 'GET', { range: `bytes=${offset}-${offset + count - 1}` });
  // Deleted since it was opened.
  if (answer.statusCode === 404) throw new Problem('not-found', `There is no file ${text}.`);
  if (answer.statusCode !== 206) throw new Error(`node ${peer.id} answers ${answer.statusCode} to a range of ${text}`);
  let done = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    done += chunk.length;
    yield chunk;
  }
  if (done !== count) throw new Error(`node ${peer.id} sent ${done} of ${count} bytes of ${text}`);
}
