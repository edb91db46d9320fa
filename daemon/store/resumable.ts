import { statSync } from 'node:fs';
import { StoreError } from './errors.js';
import { IncomingFile, type PartialFile, type ReceivedFile } from './incoming-file.js';
import { readPrefix } from './inspect.js';
import { FILE_TIME, resumableTemporary, temporaryFile } from './layout.js';
import { Reservation } from './reservation.js';
import type { ResumableRecords, ResumableUpload } from './resumable-records.js';
import type { RunningDigest } from './running-digest.js';
import type { Store } from './store.js';
import type { StorePath } from './store-path.js';

/** An upload without a piece for so long has expired. */
export const RESUMABLE_LIFETIME_MILLISECONDS = 24 * 3600 * 1000;
/** An upload keeps the room for its rest while there is news of it, and for so long after: it may be abandoned. */
const ROOM_MILLISECONDS = 60_000;
/** Digests of so many uploads are kept between their pieces; those of others are made again from the disk. */
const DIGESTS = 4096;
/** Within a piece, how far it has come is written down whenever so many bytes more are on stable storage. */
const NOTE_SIZE = 16 * 2 ** 20;
/** Expired uploads that are removed in one batch. */
const SWEPT_AT_ONCE = 500;

/** There is no such upload, or not any more. */
export class NoSuchUpload extends Error {
  override name = 'NoSuchUpload';
}

/** What came of an upload is not on the disk as it came: it has to begin anew. */
export class UploadDamaged extends Error {
  override name = 'UploadDamaged';
}

/** A whole file could not be kept although it was written. Its bytes may be the reason; `cause` is the error. */
export class NotKept extends Error {
  override name = 'NotKept';
}

/** One piece of an upload, as it comes. */
export interface Piece {
  /** Reads it into the sink. What came before it rejects is kept. */
  receive(sink: Pick<IncomingFile, 'write'>): Promise<void>;
  /** Whether it counts only as a whole: then nothing is kept when `receive` rejects. */
  isWhole: boolean;
}

/**
 * Uploads that come in pieces. What came lies in a temporary file, and how much of that is on stable storage is written
 * down behind it, so that an offset never promises more than a power cut leaves. Once whole, the temporary file is not
 * written to any more: it may be linked to.
 *
 * Of one upload, one call at a time; that is the caller's business.
 */
export class ResumableUploads {
  private readonly digests = new Map<string, RunningDigest>();
  /** The room of those of which there was news, and when that was (monotonic); the oldest news first. */
  private readonly rooms = new Map<string, { room: Reservation; heard: number }>();

  /** The files that uploads have become whose record of it failed: the next try records them, and makes no second ones. */
  private readonly unrecorded = new Map<string, string>();

  /**
   * @param keep makes a whole file durable on as many nodes as are promised, and resolves with its ID; rejects with NotKept
   * where other nodes did not take it
   * @param flushes whether pieces are flushed (not with `sync: off`)
   * @param warn is told what is lost
   */
  constructor(
    private readonly store: Pick<Store, 'writer' | 'paths' | 'reserve'>,
    private readonly records: ResumableRecords,
    private readonly keep: (file: ReceivedFile) => Promise<string>,
    private readonly flushes: boolean,
    private readonly warn: (message: string, error: unknown) => void,
  ) {}

  /** Begins an upload. Rejects with a StoreError when there is no room for it. */
  async create(wanted: Pick<ResumableUpload, 'id' | 'size' | 'extension' | 'metadata'>): Promise<void> {
    const room = this.store.reserve(wanted.size);
    const { storePath } = room;
    const upload = { ...wanted, offset: 0, crc32: 0, storePath: storePath.number, touched: Date.now(), file: null };
    try {
      storePath.calls.closeSync((await this.openTemporary(upload)).descriptor);
      // The disk of the records, which is synced next, may be another one.
      if (this.flushes) await storePath.syncTemporaries();
      await this.save(upload);
    } catch (error) {
      storePath.calls.removeSync(pathOf(upload, storePath));
      room.release();
      throw error;
    }
    this.keepRoom(upload.id, room);
  }

  /** How an upload stands; one that is whole, and did not become a file when it came to that, does so now. */
  async look(id: string): Promise<ResumableUpload> {
    const upload = this.find(id);
    if (upload.file !== null) return upload;
    const { size = 0 } = statSync(pathOf(upload, this.storePathOf(upload)), { throwIfNoEntry: false }) ?? {};
    if (size < upload.offset) return this.lose(upload, 'what came of it is not there any more');
    return upload.offset === upload.size ? this.finish(upload) : upload;
  }

  /** Takes one more piece; resolves when it is on stable storage, and when it was the last, when the file has its ID. */
  async append(id: string, piece: Piece): Promise<ResumableUpload> {
    const upload = await this.look(id);
    if (upload.offset === upload.size) return upload;
    const before = await this.digestOf(upload);
    const digest = piece.isWhole ? before.copy() : before;
    this.digests.delete(id); // until it is known how this ends
    const took = ({ size: offset, crc32 }: Pick<RunningDigest, 'size' | 'crc32'>) =>
      this.save({ ...upload, offset, crc32, touched: Date.now() });
    let noted = upload.offset;
    const note = (stable: Pick<RunningDigest, 'size' | 'crc32'>) => {
      if (stable.size < noted + NOTE_SIZE) return;
      noted = stable.size;
      took(stable).catch(() => undefined); // what comes after it fails, too, and says so
    };
    const temporary = await this.openTemporary(upload);
    const room = this.roomFor(upload, temporary);
    const partial = { ...temporary, digest };
    const file = IncomingFile.resume(partial, room, this.flushes, piece.isWhole ? () => {} : note);
    const failure = await piece.receive(file).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    await file.suspend().catch(async (error: unknown) => {
      room.release();
      // A full disk: what came gives its room back. Where that is not written down, digestOf finds it out.
      const giveBack = async () => partial.storePath.calls.truncateSync(partial.path, upload.offset);
      await giveBack().catch(() => undefined);
      await this.save(upload).catch(() => undefined);
      throw error;
    });
    if (failure && piece.isWhole) {
      this.remember(id, before);
      partial.storePath.calls.truncateSync(partial.path, upload.offset);
      room.release();
      throw failure.error;
    }
    this.keepRoom(id, room);
    const taken = await took(digest);
    this.remember(id, digest);
    if (failure) throw failure.error;
    return taken.offset === taken.size ? this.finish(taken) : taken;
  }

  /** Ends an upload, whole or not, and forgets it; a file that it has become stays. */
  async remove(id: string): Promise<void> {
    await this.discard([this.find(id)]);
  }

  /** Gives up those that were abandoned. Resolves with how many. */
  async sweep(now = Date.now()): Promise<number> {
    for (const [id, { heard }] of this.rooms) {
      if (performance.now() - heard < ROOM_MILLISECONDS) break;
      this.giveRoomBack(id);
    }
    let swept = 0;
    for (;;) {
      const abandoned = this.records.untouchedSince(now - RESUMABLE_LIFETIME_MILLISECONDS, SWEPT_AT_ONCE);
      await this.discard(abandoned);
      swept += abandoned.length;
      if (abandoned.length < SWEPT_AT_ONCE) return swept;
    }
  }

  /** An upload as it stands. Throws NoSuchUpload. */
  find(id: string): ResumableUpload {
    const upload = this.records.find(id);
    if (!upload) throw new NoSuchUpload(`there is no upload ${id}`);
    return upload;
  }

  private async finish(upload: ResumableUpload): Promise<ResumableUpload> {
    const { id, extension } = upload;
    const digest = await this.digestOf(upload);
    const storePath = this.storePathOf(upload);
    const path = pathOf(upload, storePath);
    storePath.calls.utimesSync(path, FILE_TIME, FILE_TIME);
    const received = { ...digest.copy().finish(), content: { path, storePath }, extension, release: () => {} };
    const file = this.unrecorded.get(id) ?? (await this.keepSound(received, upload));
    this.unrecorded.set(id, file);
    const finished = await this.save({ ...upload, file, touched: Date.now() });
    this.unrecorded.delete(id);
    this.digests.delete(id);
    this.giveRoomBack(id);
    try {
      storePath.calls.removeSync(path);
    } catch (error) {
      this.store.writer.warn(
        'the temporary file of a finished upload could not be removed; the next start does it',
        error,
      );
    }
    return finished;
  }

  /** As `keep`. What was known of the bytes in memory may not be so on the disk: then no other node takes them. */
  private async keepSound(received: ReceivedFile, upload: ResumableUpload): Promise<string> {
    try {
      return await this.keep(received);
    } catch (error) {
      if (!(error instanceof NotKept)) throw error;
      this.digests.delete(upload.id);
      this.remember(upload.id, await this.digestOf(upload));
      throw error.cause;
    }
  }

  private async discard(uploads: readonly ResumableUpload[]): Promise<void> {
    if (uploads.length === 0) return;
    await this.store.writer.commit({ alongside: () => uploads.forEach(({ id }) => void this.records.remove(id)) });
    for (const upload of uploads) {
      this.unrecorded.delete(upload.id);
      this.digests.delete(upload.id);
      this.giveRoomBack(upload.id);
      const storePath = this.store.paths[upload.storePath];
      // On a disk that is away now, the start that finds it again does it.
      if (storePath) storePath.calls.removeSync(pathOf(upload, storePath));
    }
  }

  /** Gives up what is there of a damaged upload. Its record stays for a day, so that every request is told the same. */
  private lose(upload: ResumableUpload, why: string): never {
    const error = new UploadDamaged(`upload ${upload.id} has to begin anew: ${why}`);
    this.digests.delete(upload.id);
    this.giveRoomBack(upload.id);
    this.storePathOf(upload).calls.removeSync(pathOf(upload, this.storePathOf(upload)));
    this.warn('what came of an upload in pieces is damaged', error);
    throw error;
  }

  private async save(upload: ResumableUpload): Promise<ResumableUpload> {
    await this.store.writer.commit({ alongside: () => this.records.save(upload) });
    return upload;
  }

  private storePathOf({ id, storePath: number }: ResumableUpload): StorePath {
    const storePath = this.store.paths[number];
    if (!storePath) throw new StoreError('unavailable', `the store path ${number} of upload ${id} is not in use`);
    storePath.assertThere();
    return storePath;
  }

  /** Opens its temporary file behind what is there of it. */
  private async openTemporary(upload: ResumableUpload): Promise<Omit<PartialFile, 'digest'>> {
    const storePath = this.storePathOf(upload);
    const temporary = storePath.reopenTemporary(resumableTemporary(upload.id), upload.offset);
    if (!temporary) return this.lose(upload, 'what came of it is not there any more');
    return { ...temporary, storePath };
  }

  /**
   * The room that an upload has kept since its last piece, or that it gets now, for all that is missing: it is refused before the
   * room that is left is used up by pieces of what will never be whole. Throws a StoreError when there is none.
   */
  private roomFor({ id, size, offset }: ResumableUpload, { storePath, descriptor }: Omit<PartialFile, 'digest'>) {
    const kept = this.rooms.get(id)?.room;
    this.rooms.delete(id); // not to be given back while the piece comes
    try {
      const room = kept ?? new Reservation(storePath, 0);
      room.cover(size - offset);
      return room;
    } catch (error) {
      kept?.release();
      storePath.calls.closeSync(descriptor);
      throw error;
    }
  }

  private keepRoom(id: string, room: Reservation): void {
    this.rooms.set(id, { room, heard: performance.now() });
  }

  private giveRoomBack(id: string): void {
    this.rooms.get(id)?.room.release();
    this.rooms.delete(id);
  }

  /** The digest of what is there; where it is not known any more, what is there is read and compared. */
  private async digestOf(upload: ResumableUpload): Promise<RunningDigest> {
    const { id, offset, crc32 } = upload;
    const known = this.digests.get(id);
    if (known?.size === offset) return known;
    const digest = await readPrefix(pathOf(upload, this.storePathOf(upload)), offset);
    const isRight = digest.size === offset && digest.crc32 === crc32;
    return isRight ? digest : this.lose(upload, 'what came of it is not what it was');
  }

  private remember(id: string, digest: RunningDigest): void {
    this.digests.delete(id);
    this.digests.set(id, digest);
    for (const oldest of this.digests.keys()) {
      if (this.digests.size <= DIGESTS) return;
      this.digests.delete(oldest);
    }
  }
}

function pathOf({ id }: ResumableUpload, { root }: StorePath): string {
  return temporaryFile(root, resumableTemporary(id));
}
