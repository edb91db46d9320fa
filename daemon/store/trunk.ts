import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import fileId, { type FileId } from '../../file-id/file-id.js';
import { errorCode, isNotFound, storeError } from './errors.js';
import { fileDirectory, filePath } from './layout.js';
import type { StorePath } from './store-path.js';

/*
 * Packed files of FastDFS. A trunk file (`data/AB/CD/000001`) consists of slots; a slot is a header of 24 bytes and the bytes of
 * one file. An ID with a trunk part names the trunk file, which lies in the directory of the ID, and the slot's offset.
 * fidfs never writes to trunk files.
 *
 *   header: type 1, allocated size 4, size 4, CRC32 4, created 4 (big-endian), the last 7 characters of the name
 */

/** Bytes of a slot's header. */
export const SLOT_HEADER = 24;
/** Types of a slot: the bytes of a file, or, in their place, the name of another file of the group. */
export const FILE_SLOT = 0x46;
export const LINK_SLOT = 0x4c;
export const TAIL_LENGTH = 7;
/** The longest name in a link, in bytes: an ID without its group. */
const LONGEST_LINK = 84;
/** Number of links that are followed. FastDFS makes links to files only. */
const LINKS = 4;

/** The bytes of a packed file: part of a trunk file, or, if a link leads there, a whole plain file. */
export interface PackedFile {
  /** Path of the file that holds the bytes. */
  path: string;
  offset: number;
  /** Bytes. */
  size: number;
  /** Whether the slot is a link. Then size and CRC32 in the ID are not those of the bytes. */
  isLink: boolean;
}

/** The path of the trunk file that an ID with a trunk part names. */
function trunkFile(path: StorePath, { directory, trunk }: Pick<FileId, 'directory' | 'trunk'>): string {
  return `${fileDirectory(path.root, directory)}/${String(trunk?.file ?? 0).padStart(6, '0')}`;
}

/** The header that a slot must have, which the ID determines as a whole. */
function headerOf({ trunk, size, crc32, created, name }: FileId, type: number): Buffer {
  const header = Buffer.alloc(SLOT_HEADER);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(trunk?.allocated ?? 0, 1);
  header.writeUInt32BE(size ?? 0, 5);
  header.writeUInt32BE(crc32 ?? 0, 9);
  header.writeUInt32BE(created, 13);
  header.write(name.slice(-TAIL_LENGTH), 17, 'latin1');
  return header;
}

/**
 * Finds packed files by their IDs. A slot counts only if its header is the one that the ID determines: a freed slot is zeros, and
 * may have been used again.
 */
export class PackedFiles {
  constructor(
    private readonly group: string,
    private readonly paths: readonly StorePath[],
    private readonly isDeleted: (name: string) => boolean,
  ) {}

  /**
   * The bytes of a packed file, without the check whether it is deleted. Undefined if there is no such slot, or its link leads
   * nowhere. Throws a StoreError if the disk cannot be read.
   */
  find(id: FileId, links = LINKS): PackedFile | undefined {
    const path = this.paths[id.storePath];
    if (id.kind !== 'trunk' || id.group !== this.group || !path?.isReadable) return undefined;
    const file = trunkFile(path, id);
    const slot = withFile(file, (descriptor) => this.slotOf(descriptor, id));
    if (slot === undefined) return undefined;
    if (slot.target === undefined) return { path: file, offset: slot.offset, size: slot.size, isLink: false };
    if (links === 0) return undefined;
    const target = this.targetOf(slot.target, links - 1);
    return target && { ...target, isLink: true };
  }

  /**
   * The tail of another file in the slot that an ID names, if only the tail tells them apart; undefined if there is none. The ID is
   * that of a slave then, or its slot has been used again.
   */
  tailWithKeyOf(id: FileId): string | undefined {
    const path = this.paths[id.storePath];
    if (id.kind !== 'trunk' || !id.trunk || !path?.isReadable) return undefined;
    const { offset } = id.trunk;
    const header = Buffer.alloc(SLOT_HEADER);
    const count = withFile(trunkFile(path, id), (descriptor) => readSync(descriptor, header, 0, SLOT_HEADER, offset));
    const end = SLOT_HEADER - TAIL_LENGTH;
    const isOf = (type: number) => headerOf(id, type).compare(header, 0, end, 0, end) === 0;
    if (count !== SLOT_HEADER || !(isOf(FILE_SLOT) || isOf(LINK_SLOT))) return undefined;
    const tail = header.toString('latin1', end);
    const name = id.name.slice(0, -TAIL_LENGTH) + tail;
    return name === id.name || this.isDeleted(name) ? undefined : tail;
  }

  /** The file that the name in a link means. */
  private targetOf(name: string, links: number): PackedFile | undefined {
    let id: FileId;
    try {
      // Only the name of a file is an ID: nothing else can be reached by a link.
      id = fileId.decode(`${this.group}/${name}`);
    } catch (error) {
      if (!fileId.isFileIdError(error)) throw error;
      return undefined;
    }
    const path = this.paths[id.storePath];
    if (!path?.isReadable || this.isDeleted(id.name)) return undefined;
    const size = path.sizeThrough(id.directory, id.name);
    if (size === undefined) return this.find(id, links);
    return { path: filePath(path.root, id.directory, id.name), offset: 0, size, isLink: false };
  }

  private slotOf(descriptor: number, id: FileId): { offset: number; size: number; target?: string } | undefined {
    const { trunk } = id;
    const size = id.size ?? 0;
    if (!trunk || trunk.allocated < SLOT_HEADER + size) return undefined;
    const header = Buffer.alloc(SLOT_HEADER);
    if (readSync(descriptor, header, 0, SLOT_HEADER, trunk.offset) !== SLOT_HEADER) return undefined;
    const offset = trunk.offset + SLOT_HEADER;
    if (offset + size > fstatSync(descriptor).size) return undefined;
    if (header.equals(headerOf(id, FILE_SLOT))) return { offset, size };
    if (!header.equals(headerOf(id, LINK_SLOT)) || size > LONGEST_LINK) return undefined;
    const target = Buffer.alloc(size);
    readSync(descriptor, target, 0, size, offset);
    return { offset, size, target: target.toString('latin1') };
  }
}

/** Opens a file for reading, and closes it after `use`. Undefined if it does not exist. Throws a StoreError. */
function withFile<T>(path: string, use: (descriptor: number) => T): T | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if (isNotFound(error) || errorCode(error) === 'ENOTDIR') return undefined;
    throw storeError('open', path, error);
  }
  try {
    return use(descriptor);
  } catch (error) {
    throw storeError('read', path, error);
  } finally {
    closeSync(descriptor);
  }
}
