import type { DurableWriter } from './durable-write.js';
import type { PublicNames, UnnamedFile } from './public-names.js';
import type { Records, StoredFile } from './records.js';

export interface PublicWriteParts {
  writer: DurableWriter;
  names: PublicNames;
  records: Pick<Records, 'withdraw'>;
}

/** A file that was recorded, but could not be renamed to its final name. */
export interface Unnamed {
  file: StoredFile;
  /** A StoreError. */
  error: unknown;
}

/**
 * Makes a file durable whose name is public before it is stored. Resolves when it has that name. Rejects with the error of `write`
 * or a StoreError; then it is not stored.
 * @param write writes it under its temporary name, in the batch
 */
export async function commitPublic(parts: PublicWriteParts, write: () => UnnamedFile): Promise<StoredFile> {
  const { stored, unnamed } = await commitPublicFiles(parts, () => [write()]);
  if (unnamed[0]) throw unnamed[0].error;
  return stored[0] as StoredFile;
}

/**
 * Makes files durable whose names are public before they are stored. Resolves with those that have their names, and with those that
 * could not be renamed: their records are withdrawn and their temporary files removed. Rejects with the error of `write` or a
 * StoreError; then none is stored.
 * @param write writes them under their temporary names, in the batch; a file without a temporary name has its final name already
 */
export async function commitPublicFiles(
  { writer, names, records }: PublicWriteParts,
  write: () => StoredFile[],
): Promise<{ stored: StoredFile[]; unnamed: Unnamed[] }> {
  let written: UnnamedFile[] = [];
  let inPlace: StoredFile[] = [];
  const leave = () => {
    for (const file of inPlace) names.leave(file);
  };
  const unnamed = new Map<StoredFile, unknown>();
  const all = await writer.commit({
    write: () => {
      const files = write();
      written = files.filter((file): file is UnnamedFile => file.temporary !== undefined);
      inPlace = files.filter((file) => file.temporary === undefined);
      // No copy of a peer replaces them in the same batch.
      for (const file of inPlace) names.reserve(file);
      return files;
    },
    undo: () => {
      leave();
      names.remove(written);
    },
    finish: () => {
      leave();
      for (const file of written) {
        try {
          names.publish(file);
        } catch (error) {
          unnamed.set(file, error);
        }
      }
    },
  });
  if (unnamed.size > 0) {
    await writer.commit({ alongside: () => records.withdraw([...unnamed.keys()]) });
    for (const file of written) if (unnamed.has(file)) names.removeTemporary(file);
  }
  return {
    stored: all.filter((file) => !unnamed.has(file)),
    unnamed: [...unnamed].map(([file, error]) => ({ file, error })),
  };
}
