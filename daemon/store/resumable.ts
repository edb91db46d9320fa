import { statSync } from 'node:fs';
import { StoreError } from './errors.js';
import { IncomingFile, type PartialFile, type ReceivedFile } from './incoming-file.js';
import { readPrefix } from './inspect.js';
import { KeptReservations } from './kept-reservations.js';
import { FILE_TIME, resumableTemporary, temporaryFile } from './layout.js';
import { RecentDigests } from './recent-digests.js';
import type { ResumableRecords, ResumableUpload } from './resumable-records.js';
import type { RunningDigest } from './running-digest.js';
import type { Store } from './store.js';
import type { StorePath } from './store-path.js';

/** A resumable upload expires after this time without a piece. */
export const RESUMABLE_LIFETIME_MILLISECONDS = 24 * 3600 * 1000;
/** Within a piece, the offset is recorded whenever this many further bytes are on stable storage. */
const NOTE_SIZE = 16 * 2 ** 20;
/** Expired uploads that are removed in one batch. */
const SWEPT_AT_ONCE = 500;

/** There is no upload with this id (any more). */
export class NoSuchUpload extends Error {
  override name = 'NoSuchUpload';
}

/** The received part of an upload is lost or corrupt: the client has to restart it. */
export class UploadDamaged extends Error {
  override name = 'UploadDamaged';
}

/** A complete file was written, but peers did not take it. Its bytes may be the reason; `cause` is the error. */
export class NotKept extends Error {
  override name = 'NotKept';
}

/** A piece of an upload that is being received. */
export interface Piece {
  /** Writes the piece to the sink. If it rejects, the bytes written so far are kept. */
  receive(sink: Pick<IncomingFile, 'write'>): Promise<void>;
  /** Whether the piece counts only as a whole: then nothing of it is kept if `receive` rejects. */
  isWhole: boolean;
}

/**
 * Resumable uploads, which are sent in pieces. The bytes are written to a temporary file, and the offset is recorded after
 * they are on stable storage, so that an acknowledged offset survives a power cut. The temporary file of a complete upload is
 * not written to any more, because a stored file may be a hard link to it.
 *
 * The caller must not run two calls for the same upload at the same time.
 */
export class ResumableUploads {
  private readonly digests = new RecentDigests();
  private readonly reservations = new KeptReservations();
  /**
   * IDs of stored files that could not be recorded in their upload: the next attempt records them and does not store a second
   * file.
   */
  private readonly unrecorded = new Map<string, string>();

  /**
   * @param keep stores a complete file on as many nodes as the configuration promises and resolves with its ID; rejects with
   * NotKept if peers did not take it
   * @param flushes whether pieces are flushed (not with `sync: off`)
   * @param warn logs damaged uploads
   */
  constructor(
    private readonly store: Pick<Store, 'writer' | 'paths' | 'reserve'>,
    private readonly records: ResumableRecords,
    private readonly keep: (file: ReceivedFile) => Promise<string>,
    private readonly flushes: boolean,
    private readonly warn: (message: string, error: unknown) => void,
  ) {}

  /** Creates an upload and reserves space for it. Rejects with a StoreError (full or unavailable) if there is not enough. */
  async create(wanted: Pick<ResumableUpload, 'id' | 'size' | 'extension' | 'metadata'>): Promise<void> {
    const reservation = this.store.reserve(wanted.size);
    const { storePath } = reservation;
    const upload = { ...wanted, offset: 0, crc32: 0, storePath: storePath.number, touched: Date.now(), file: null };
    try {
      storePath.calls.closeSync((await this.openTemporary(upload)).descriptor);
      // `save` syncs the index, which may be on another disk.
      if (this.flushes) await storePath.syncTemporaries();
      await this.save(upload);
    } catch (error) {
      storePath.calls.removeSync(pathOf(upload, storePath));
      reservation.release();
      throw error;
    }
    this.reservations.keep(upload.id, reservation);
  }

  /**
   * The current state of an upload. A complete one that could not be stored before is stored now. Rejects with NoSuchUpload,
   * UploadDamaged or a StoreError.
   */
  async look(id: string): Promise<ResumableUpload> {
    const upload = this.find(id);
    if (upload.file !== null) return upload;
    const { size = 0 } = statSync(pathOf(upload, this.storePathOf(upload)), { throwIfNoEntry: false }) ?? {};
    if (size < upload.offset) return this.lose(upload, 'its received bytes are lost');
    return upload.offset === upload.size ? this.finish(upload) : upload;
  }

  /**
   * Receives a piece. Resolves when it is on stable storage; after the last piece, when the file is stored. Rejects as
   * `look`, and with the error of `receive`.
   */
  async append(id: string, piece: Piece): Promise<ResumableUpload> {
    const upload = await this.look(id);
    if (upload.offset === upload.size) return upload;
    const before = await this.digestOf(upload);
    const digest = piece.isWhole ? before.copy() : before;
    this.digests.delete(id); // it is not valid while the piece is received
    const saveOffset = ({ size: offset, crc32 }: Pick<RunningDigest, 'size' | 'crc32'>) =>
      this.save({ ...upload, offset, crc32, touched: Date.now() });
    let recorded = upload.offset;
    const onStable = (stable: Pick<RunningDigest, 'size' | 'crc32'>) => {
      if (stable.size < recorded + NOTE_SIZE) return;
      recorded = stable.size;
      saveOffset(stable).catch(() => undefined); // the save at the end of the piece reports the error
    };
    const temporary = await this.openTemporary(upload);
    const reservation = this.reservationFor(upload, temporary);
    const partial = { ...temporary, digest };
    const file = IncomingFile.resume(partial, reservation, this.flushes, piece.isWhole ? () => {} : onStable);
    const failure = await piece.receive(file).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    await file.suspend().catch(async (error: unknown) => {
      reservation.release();
      // On a full disk the space of this piece is freed. If an offset beyond that stays recorded, digestOf detects it.
      const truncate = async () => partial.storePath.calls.truncateSync(partial.path, upload.offset);
      await truncate().catch(() => undefined);
      await this.save(upload).catch(() => undefined);
      throw error;
    });
    if (failure && piece.isWhole) {
      this.digests.set(id, before);
      partial.storePath.calls.truncateSync(partial.path, upload.offset);
      reservation.release();
      throw failure.error;
    }
    this.reservations.keep(id, reservation);
    const saved = await saveOffset(digest);
    this.digests.set(id, digest);
    if (failure) throw failure.error;
    return saved.offset === saved.size ? this.finish(saved) : saved;
  }

  /** Removes an upload and its temporary file; a file stored from it stays. Rejects with NoSuchUpload or a StoreError. */
  async remove(id: string): Promise<void> {
    await this.discard([this.find(id)]);
  }

  /** Releases reservations of abandoned uploads and removes expired uploads. Resolves with the number removed. */
  async sweep(now = Date.now()): Promise<number> {
    this.reservations.releaseAbandoned();
    let swept = 0;
    for (;;) {
      const expired = this.records.untouchedSince(now - RESUMABLE_LIFETIME_MILLISECONDS, SWEPT_AT_ONCE);
      await this.discard(expired);
      swept += expired.length;
      if (expired.length < SWEPT_AT_ONCE) return swept;
    }
  }

  /** The record of an upload. Throws NoSuchUpload. */
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
    const file = this.unrecorded.get(id) ?? (await this.keepOrCheck(received, upload));
    this.unrecorded.set(id, file);
    const finished = await this.save({ ...upload, file, touched: Date.now() });
    this.unrecorded.delete(id);
    this.digests.delete(id);
    this.reservations.release(id);
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

  /**
   * As `keep`. If peers did not take the file, compares it with its digest: bytes that are corrupt on the disk are the likely
   * reason.
   */
  private async keepOrCheck(received: ReceivedFile, upload: ResumableUpload): Promise<string> {
    try {
      return await this.keep(received);
    } catch (error) {
      if (!(error instanceof NotKept)) throw error;
      this.digests.delete(upload.id);
      this.digests.set(upload.id, await this.digestOf(upload));
      throw error.cause;
    }
  }

  private async discard(uploads: readonly ResumableUpload[]): Promise<void> {
    if (uploads.length === 0) return;
    await this.store.writer.commit({ alongside: () => uploads.forEach(({ id }) => void this.records.remove(id)) });
    for (const upload of uploads) {
      this.unrecorded.delete(upload.id);
      this.digests.delete(upload.id);
      this.reservations.release(upload.id);
      const storePath = this.store.paths[upload.storePath];
      // On a disk that is not in use now, the recovery of the startup that uses it again removes the file.
      if (storePath) storePath.calls.removeSync(pathOf(upload, storePath));
    }
  }

  /**
   * Removes the temporary file of a damaged upload. Its record stays until it expires, so that every request gets the same
   * error.
   */
  private lose(upload: ResumableUpload, why: string): never {
    const error = new UploadDamaged(`upload ${upload.id} has to begin anew: ${why}`);
    this.digests.delete(upload.id);
    this.reservations.release(upload.id);
    this.storePathOf(upload).calls.removeSync(pathOf(upload, this.storePathOf(upload)));
    this.warn('the received part of a resumable upload is damaged', error);
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

  /** Opens the temporary file of an upload for appending at its offset. Rejects with UploadDamaged or a StoreError. */
  private async openTemporary(upload: ResumableUpload): Promise<Omit<PartialFile, 'digest'>> {
    const storePath = this.storePathOf(upload);
    const temporary = storePath.reopenTemporary(resumableTemporary(upload.id), upload.offset);
    if (!temporary) return this.lose(upload, 'its received bytes are lost');
    return { ...temporary, storePath };
  }

  /**
   * The reservation for all missing bytes of an upload. Closes its temporary file and throws a StoreError (full) if there is not
   * enough space.
   */
  private reservationFor(
    { id, size, offset }: ResumableUpload,
    { storePath, descriptor }: Omit<PartialFile, 'digest'>,
  ) {
    try {
      return this.reservations.take(id, storePath, size - offset);
    } catch (error) {
      storePath.calls.closeSync(descriptor);
      throw error;
    }
  }

  /** The digest of the received bytes. If it is not in memory, reads and checks them. Rejects with UploadDamaged. */
  private async digestOf(upload: ResumableUpload): Promise<RunningDigest> {
    const { id, offset, crc32 } = upload;
    const known = this.digests.get(id);
    if (known?.size === offset) return known;
    const digest = await readPrefix(pathOf(upload, this.storePathOf(upload)), offset);
    const isRight = digest.size === offset && digest.crc32 === crc32;
    return isRight ? digest : this.lose(upload, 'its received bytes are corrupt');
  }
}

function pathOf({ id }: ResumableUpload, { root }: StorePath): string {
  return temporaryFile(root, resumableTemporary(id));
}
