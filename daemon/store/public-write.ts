import type { DurableWriter } from './durable-write.js';
import type { PublicNames, UnnamedFile } from './public-names.js';
import type { Records, StoredFile } from './records.js';

export interface PublicWriteParts {
  writer: DurableWriter;
  names: PublicNames;
  records: Pick<Records, 'withdraw'>;
}

/**
 * Makes a file durable whose name is public before it is stored. Resolves when it has that name. Rejects with the error of `write`
 * or a StoreError; then it is not stored.
 * @param write writes it under its temporary name, in the batch
 */
export async function commitPublic(
  { writer, names, records }: PublicWriteParts,
  write: () => UnnamedFile,
): Promise<StoredFile> {
  let written: UnnamedFile | undefined;
  let isUnnamed = false;
  try {
    const [stored] = await writer.commit({
      write: () => {
        written = write();
        return [written];
      },
      undo: () => {
        if (written) names.remove([written]);
      },
      finish: () => {
        isUnnamed = true;
        names.publish(written as UnnamedFile);
        isUnnamed = false;
      },
    });
    return stored as StoredFile;
  } catch (error) {
    const unnamed = written;
    if (isUnnamed && unnamed) {
      await writer.commit({ alongside: () => records.withdraw([unnamed]) });
      names.removeTemporary(unnamed);
    }
    throw error;
  }
}
