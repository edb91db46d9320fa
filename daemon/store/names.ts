import { hash } from 'node:crypto';
import fileId, { type FileKind, type FileSource } from '../../file-id/file-id.js';
import { StoreError } from './errors.js';

/*
 * The names of files in the records. Most are normal names, whose 20 bytes are the key of their record. Other names share the
 * 20 bytes of another file: slaves (their master's) and metadata files (`<name>-m`, as in FastDFS). Their key is derived from the
 * whole name.
 */

/** FastDFS keeps the metadata of the file <name> in <name>-m. */
const METADATA_SUFFIX = '-m';
/** The characters of a name that are its 20 bytes; a file shares them with its slaves. */
export const KEY_CHARACTERS = 27;
const NORMAL_LENGTH = 34;
const TRUNK_LENGTH = 50;
const TAIL_LENGTH = 7;
/** Bits 63 and 59 of the size field of a trunk name, in its first byte. */
const TRUNK_FLAGS = 0x88;
/** Bits 63 and 58: an appender. */
const APPENDER_FLAGS = 0x84;
const TWO_32 = 2 ** 32;
const PREFIX = /^[A-Za-z0-9._-]{1,16}$/;
const EXTENSION = /^[A-Za-z0-9._-]{0,6}$/;

/** The kind of a recorded file; `metadata` is not in IDs. */
export type RecordKind = FileKind | 'metadata';

/** A decoded name of a recorded file. */
export interface DecodedName {
  kind: RecordKind;
  /** Of the master, for a slave and for metadata; likewise `created`. */
  source: FileSource;
  /** Seconds since 1970. */
  created: number;
  /** Null if the name does not contain it. */
  size: number | null;
  crc32: number | null;
}

/** The location of a recorded file in its group, from its ID. */
export interface RecordedId extends DecodedName {
  group: string;
  storePath: number;
  directory: number;
  name: string;
}

export function isMetadata(name: string): boolean {
  return name.endsWith(METADATA_SUFFIX);
}

/** The name of the metadata file of a file. */
export function metadataName(name: string): string {
  return name + METADATA_SUFFIX;
}

/** The name of the file that a metadata file belongs to. */
export function ownerOfMetadata(name: string): string {
  return name.slice(0, -METADATA_SUFFIX.length);
}

/** Whether the 20 bytes of a name are the key of its record: those of a file that is neither a slave nor metadata. */
export function hasOwnKey(name: string, bytes = fileId.keyOf(name)): boolean {
  if (isMetadata(name) || !fileId.isTail(name.slice(-TAIL_LENGTH))) return false;
  if (name.length === NORMAL_LENGTH) return true;
  return name.length === TRUNK_LENGTH && ((bytes[8] as number) & TRUNK_FLAGS) === TRUNK_FLAGS;
}

/**
 * The key of a name, 20 bytes. A derived key begins with the source and the second of the name's 20 bytes, so that keys of a
 * source and a time are adjacent; the rest is 87 bits of the SHA-256 of the name, in the form of the size field and the CRC32 of a
 * normal file, because earlier versions decode the keys of tombstones.
 */
export function keyOf(name: string): Buffer {
  const key = fileId.keyOf(name);
  if (hasOwnKey(name, key)) return key;
  const digest = hash('sha256', name, 'buffer');
  digest.copy(key, 8, 0, 12);
  key.writeUInt32BE(0x80000000 + (digest.readUInt32BE() & 0x7fffff), 8);
  return key;
}

/** The part of a name that the index stores: what follows the characters of the key, or the whole name if the key is derived. */
export function tailOf(name: string, key: Buffer): string {
  return hasOwnKey(name, key) ? name.slice(KEY_CHARACTERS) : name;
}

/** The name of a file from its key and what `tailOf` returned. */
export function nameOf(key: Buffer, tail: string): string {
  return tail.length > KEY_CHARACTERS ? tail : key.toString('base64url') + tail;
}

/** Whether the key of a name contains the size of its file. */
export function isSizeInKey(name: string, key: Buffer): boolean {
  return hasOwnKey(name, key) && ((key[8] as number) & APPENDER_FLAGS) !== APPENDER_FLAGS;
}

/** The size in the key of a normal or trunk file, in bytes. */
export function sizeInKey(key: Buffer): number {
  const high = key.readUInt32BE(8);
  const low = key.readUInt32BE(12);
  return high >= 0x80000000 ? low : high * TWO_32 + low;
}

/** Whether the content of a file changes: of metadata and of an appender. */
export function isMutable(name: string): boolean {
  const { kind } = decodeName(name);
  return kind === 'metadata' || kind === 'appender';
}

/**
 * The version of a file that is found on the disk (see `Version`): of one that changes, its modification time, in milliseconds since
 * 1970; 1 if that is earlier, because versions are not negative, and 0 is that of files that never change.
 */
export function foundVersion(name: string, mtimeMs: number): number | undefined {
  if (isMutable(name)) return Math.max(1, Math.round(mtimeMs));
  return decodeName(name).kind === 'slave' ? 0 : undefined;
}

/** A name without its extension, which has up to 6 characters. */
export function withoutExtension(name: string): string {
  const dot = name.indexOf('.', Math.max(KEY_CHARACTERS, name.length - TAIL_LENGTH));
  return dot < 0 ? name : name.slice(0, dot);
}

/**
 * The name of a slave, as FastDFS makes it: that of its master without the extension, the prefix, the extension. Throws a
 * StoreError (invalid) if the prefix or the extension is not possible, or if the result would be read as the name of another kind.
 */
export function slaveName(master: string, prefix: string, extension: string): string {
  if (!PREFIX.test(prefix))
    throw new StoreError('invalid', 'the prefix is not 1 to 16 letters, digits, ".", "_" or "-"');
  if (!EXTENSION.test(extension))
    throw new StoreError('invalid', 'the extension is not up to 6 letters, digits, ".", "_" or "-"');
  const name = withoutExtension(master) + prefix + (extension === '' ? '' : `.${extension}`);
  try {
    if (decodeName(name).kind === 'slave') return name;
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    throw new StoreError('invalid', `${name} is no name of a slave: ${error.message}`);
  }
  throw new StoreError('invalid', `${name} would be read as the name of another kind of file; take another prefix`);
}

/** Decodes the name of a file that may have a record. Throws a FileIdError. */
export function decodeName(name: string): DecodedName {
  if (!isMetadata(name)) return fileId.decodeName(name);
  const owner = fileId.decodeName(ownerOfMetadata(name));
  return { ...owner, kind: 'metadata', size: null, crc32: null };
}

/** Decodes the ID of a file that may have a record. Throws a FileIdError. */
export function decodeRecorded(id: string): RecordedId {
  if (!isMetadata(id)) return fileId.decode(id);
  const owner = fileId.decode(ownerOfMetadata(id));
  return { ...owner, kind: 'metadata', name: metadataName(owner.name), size: null, crc32: null };
}
