import { rmSync, statSync, utimesSync } from 'node:fs';
import { open } from 'node:fs/promises';
import fileId from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { READ_MARK_HEADER, readMark, readMarkKey } from '../cluster/read-mark.js';
import type { Settings } from '../config/settings.js';
import type { Index } from '../index/index.js';
import type { MissingFile } from '../index/missing.js';
import { isFull, isNotFound, storeError } from '../store/errors.js';
import { differenceFrom, readContent } from '../store/inspect.js';
import { timeOf } from '../store/public-names.js';
import type { Reservation } from '../store/reservation.js';
import type { StorePath } from '../store/store-path.js';
import { copyEarlier } from './earlier-version.js';
import type { RateLimit } from './rate-limit.js';

/** Number of bytes after which a growing file is flushed. */
const FLUSH_SIZE = 32 * 2 ** 20;
/** A peer that sends nothing for this long fails the try. */
export const SILENCE_MILLISECONDS = 15_000;

/** A file that is being fetched. */
export interface UnderWay {
  file: MissingFile;
  /** Bytes received. */
  bytes: number;
}

/** Where a download is written, and the space that is reserved for what is still to be written. */
interface Target {
  temporary: string;
  room: Reservation;
}

export interface DownloadsParts {
  settings: Pick<Settings, 'group' | 'serverId' | 'peerSecret'>;
  index: Index;
  paths: readonly StorePath[];
  /** Limits repair, that is, files which no upload waits for. */
  limit: RateLimit;
}

/** A node has answered, but does not have the file or sent a corrupt one. Such tries are counted and limited. */
export class NotToBeHad extends Error {
  override name = 'NotToBeHad';
}

/** Downloads files of peers into temporary files. */
export class Downloads {
  constructor(
    private readonly parts: DownloadsParts,
    private readonly ending: AbortSignal,
  ) {}

  /**
   * Downloads a file from a peer into a temporary file, from its end on if that exists. Rejects with a StoreError (full) if there is no
   * space, with NotToBeHad, or with the error of the connection.
   */
  async from(peer: Peer, underWay: UnderWay, into: Target): Promise<void> {
    const { index, paths } = this.parts;
    const { temporary, room } = into;
    const { size } = underWay.file;
    room.cover(Math.max(0, size - sizeOf(temporary)));
    if (sizeOf(temporary) === 0 && (await copyEarlier(underWay.file, temporary, { index, paths }))) {
      count(room, sizeOf(temporary));
      try {
        return await this.download(peer, underWay, into);
      } catch (error) {
        if (!(error instanceof NotToBeHad)) throw error;
        // Not an append, or the peer has another version.
        rmSync(temporary, { force: true });
        room.cover(size);
      }
    }
    await this.download(peer, underWay, into);
  }

  /** Downloads what the temporary file lacks, and checks the whole. */
  private async download(peer: Peer, underWay: UnderWay, into: Target): Promise<void> {
    const { temporary } = into;
    const { file } = underWay;
    const { group, serverId, peerSecret = '' } = this.parts.settings;
    const { size } = file;
    const had = sizeOf(temporary);
    underWay.bytes = had;
    if (had < size || size === 0) {
      const id = fileId.join(group, file.storePath, file.directory, file.name);
      // An appender may have grown since; the bytes of this version are still the first ones.
      const range = file.version && size > 0 ? `bytes=${had}-${size - 1}` : had > 0 ? `bytes=${had}-` : undefined;
      const mark = readMark(readMarkKey(peerSecret), id, serverId, peer.id);
      const answer = await peer.client.raw(`/${id}`, {
        ...{ method: 'GET', headersTimeout: SILENCE_MILLISECONDS, bodyTimeout: SILENCE_MILLISECONDS },
        headers: { [READ_MARK_HEADER]: mark, ...(range === undefined ? {} : { range }) },
        signal: this.ending,
      });
      if (answer.statusCode !== (range === undefined ? 200 : 206)) {
        await answer.body.dump();
        throw new NotToBeHad(answer.statusCode === 404 ? 'does not have it' : `answers ${answer.statusCode}`);
      }
      await this.append(answer.body, into, underWay);
    }
    const content = await readContent(temporary, { sha256: true });
    const difference = differenceFrom(file, content);
    if (difference === undefined) {
      utimesSync(temporary, timeOf(file), timeOf(file));
      return;
    }
    // A download that is too short can be resumed, unless it is of another version.
    if (content.size >= size || file.version) rmSync(temporary, { force: true });
    throw new NotToBeHad(`sent ${difference}`);
  }

  /** Appends a response to the temporary file. Flushes it in steps, so that the sync of a batch has little to write. */
  private async append(body: AsyncIterable<Buffer>, { temporary, room }: Target, underWay: UnderWay): Promise<void> {
    const file = await open(temporary, 'a');
    let unflushed = 0;
    try {
      for await (const chunk of body) {
        underWay.bytes += chunk.length;
        if (underWay.bytes > underWay.file.size) throw new Error('sent more bytes than the file has');
        // Uploads may wait for files in a log; others are repair.
        if (underWay.file.peer === 0) await this.parts.limit.take(chunk.length, this.ending);
        await file.appendFile(chunk);
        count(room, chunk.length);
        unflushed += chunk.length;
        if (unflushed < FLUSH_SIZE) continue;
        unflushed = 0;
        await file.datasync();
      }
    } catch (error) {
      throw isFull(error) ? storeError('write', temporary, error) : error;
    } finally {
      await file.close();
    }
  }
}

/** Counts bytes of a download as written, which ends their reservation. */
function count(room: Reservation, bytes: number): void {
  room.arrive(bytes);
  room.written(bytes);
}

/** The size of a file in bytes, 0 if there is none. */
export function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    if (isNotFound(error)) return 0;
    throw error;
  }
}
