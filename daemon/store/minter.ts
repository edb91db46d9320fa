import { readdirSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import type { Settings } from '../config/settings.js';
import type { Frontier } from './checkpoints.js';
import { isNotFound } from './errors.js';
import { Identifiers } from './identifiers.js';
import type { ReceivedFile } from './incoming-file.js';
import { FILE_TIME, fileDirectory } from './layout.js';
import type { Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/**
 * Directories are filled one after another with this many files each, so that files created together are in one directory.
 * FastDFS's default.
 */
const FILES_PER_DIRECTORY = 100;
const DIRECTORIES = 65536;

/** The properties of a new file from which its ID and its record are made. */
export type NewContent = Pick<ReceivedFile, 'size' | 'crc32' | 'sha256' | 'extension' | 'isAppender'>;

/** Assigns an ID, and with it a directory, to each new file. */
export class Minter {
  private readonly identifiers: Identifiers;
  private directory: number;
  private filesInDirectory: number;

  constructor(
    private readonly settings: Pick<Settings, 'group' | 'serverId'>,
    paths: readonly StorePath[],
    records: Pick<Records, 'lastSecond' | 'checkpoint'>,
  ) {
    this.identifiers = new Identifiers(settings.serverId, records.lastSecond(settings.serverId));
    this.directory = records.checkpoint.directory;
    const open = paths.filter((path) => path.isOpen);
    this.filesInDirectory = Math.max(0, ...open.map((path) => countEntries(fileDirectory(path.root, this.directory))));
  }

  /** The second of the last ID, and the directory that is being filled. */
  get frontier(): Frontier {
    return { second: this.identifiers.lastSecond, directory: this.directory };
  }

  /** Assigns an ID on a store path, and returns the record to be made. Writes nothing. */
  mint(file: NewContent, path: StorePath): StoredFile {
    const directory = this.nextDirectory();
    const { isAppender = false } = file;
    const { bytes, name, created } = this.identifiers.next(file.size, file.crc32, file.extension, isAppender);
    const id = fileId.join(this.settings.group, path.number, directory, name);
    const { size, crc32, sha256 } = file;
    const version = isAppender ? FILE_TIME * 1000 : undefined;
    const place = { id, key: bytes, storePath: path.number, directory, name };
    return { ...place, size, crc32, sha256, version, created, accepted: true };
  }

  private nextDirectory(): number {
    if (this.filesInDirectory >= FILES_PER_DIRECTORY) {
      this.directory = (this.directory + 1) % DIRECTORIES;
      this.filesInDirectory = 0;
    }
    this.filesInDirectory++;
    return this.directory;
  }
}

function countEntries(directory: string): number {
  try {
    return readdirSync(directory).length;
  } catch (error) {
    if (isNotFound(error)) return 0;
    throw error;
  }
}
