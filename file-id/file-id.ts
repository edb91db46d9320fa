/*
 * The ID codec. Pure functions without I/O, compiled from this one source for Node and for njs (ES5, njs 0.7.9),
 * hence no classes, no iteration protocol, and no work at top level: njs runs top-level code for every request.
 *
 * The format is FastDFS's (observed on 6.16.1):
 *
 *   group1/M00/00/1F/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg
 *   group  |   |     27 base64url characters    tail
 *          |   two directories, upper-case hex
 *          store path, upper-case hex
 *
 * The 27 characters are 20 bytes: source 4, created 4 (big-endian seconds), size field 8 (big-endian), CRC32 4
 * (big-endian, zlib's). In a trunk name 16 more characters follow them: trunk file, offset and allocated size.
 */

import secondOf from './created.js';

/**
 * The kind of a file. The tail of a slave differs from that of a normal, appender or trunk file in its length, or in its form: the
 * prefix follows the digits. FastDFS compares the lengths only. The name of a slave whose prefix is digits, or begins with a dot, may
 * be one that a normal file can have, and is decoded as such.
 */
export type FileKind = 'normal' | 'appender' | 'slave' | 'trunk';

/** The node that accepted the upload: a server id (1 to 16777215), or, in old FastDFS clusters, an IPv4 address. */
export type FileSource = { serverId: number } | { ip: string };

/** Location of a file inside a trunk file, as in a trunk name: number of the trunk file, offset and allocated size in bytes. */
export interface TrunkLocation {
  file: number;
  offset: number;
  allocated: number;
}

/** A decoded ID. */
export interface FileId {
  group: string;
  /** 0 to 255, the number after M. */
  storePath: number;
  /** The two directories as one number, 0 (00/00) to 65535 (FF/FF). */
  directory: number;
  /** The last part of the ID and the file's name on disk. (A trunk ID has a file of its own only when fidfs has unpacked it.) */
  name: string;
  kind: FileKind;
  source: FileSource;
  /** Seconds since 1970. */
  created: number;
  /** Bytes; null if the ID does not contain it (appender, slave). */
  size: number | null;
  /** CRC-32 as in zlib; null if the ID does not contain it (appender, slave). */
  crc32: number | null;
  /** Null for other kinds. */
  trunk: TrunkLocation | null;
}

/** The fields of a new normal ID. */
export interface NewFileKey {
  /** 1 to 16777215. */
  serverId: number;
  /** Seconds since 1970, 32 bits. */
  created: number;
  /** Bytes. */
  size: number;
  crc32: number;
  /** 23 bits that distinguish IDs of the same second. Not encoded for files of 4 GiB and more, whose size needs these bits. */
  counter: number;
  /** An appender, whose ID does not contain its size, because that changes. */
  isAppender?: boolean;
}

const KEY_LENGTH = 27;
const TRUNK_LENGTH = 16;
const TAIL_LENGTH = 7;
/** Maximum length of a slave's tail: the digits of its master's (7), a prefix (16), and an extension with its dot (7). */
const MAX_TAIL_LENGTH = 30;
const MAX_SERVER_ID = 0xffffff;
/** Flags in the high half of the size field: not a plain 64-bit size; trunk; appender. */
const MASKED = 0x80000000;
const TRUNK = 0x08000000;
const APPENDER = 0x04000000;
/** Bits 55-57 and 60-62, which FastDFS leaves zero in a size field with flags. */
const UNUSED = 0x73800000;
const TWO_32 = 4294967296;

/**
 * Source of a regular expression (PCRE and JavaScript) for a name on disk, for nginx's configuration and other code that
 * cannot call `decode`. The 27th character encodes only 4 bits: the other two must be zero, otherwise one file would have
 * four names.
 */
const NAME_PATTERN = '[A-Za-z0-9_-]{26}[AEIMQUYcgkosw048][A-Za-z0-9._-]{1,46}';

/**
 * Source of a regular expression for the start of a normal name whose file is smaller than 32 KiB: a size field with flags,
 * neither trunk nor appender, and the upper 17 bits of the size's lower half zero.
 */
const SMALL_PATTERN = '[A-Za-z0-9_-]{10}[CGKOSWaeimquy26-]A[A-Za-z0-9_-]{4}AA[AB]';

/** Source of a regular expression for the name of an appender: a size field with that flag. To be followed by `$`. */
const APPENDER_PATTERN =
  '[A-Za-z0-9_-]{10}[CGKOSWaeimquy26-]E[A-Za-z0-9_-]{14}[AEIMQUYcgkosw048](?=.{7}$)[0-9]*(?:[.][A-Za-z0-9._-]*)?';

/**
 * Source of a regular expression for a trunk name: a size field with that flag, and a part of 16 more characters. To be followed
 * by `$`.
 */
const TRUNK_PATTERN = '[A-Za-z0-9_-]{11}I[A-Za-z0-9_-]{31}(?=.{7}$)[0-9]*(?:[.][A-Za-z0-9._-]*)?';

function fail(reason: string): never {
  const error = new Error(reason);
  error.name = 'FileIdError';
  throw error;
}

/** Whether this is an error that `decode` or `encodeKey` throws. Its message is the reason and can be sent to clients. */
function isFileIdError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'FileIdError';
}

/** The two directories of a number from 0 to 65535 as a path: 31 is `00/1F`. */
function directories(directory: number): string {
  const hex = (directory + 0x10000).toString(16).toUpperCase();
  return `${hex.substring(1, 3)}/${hex.substring(3)}`;
}

/** Builds the ID of a file on disk: `group1/M00/00/1F/<name>`. */
function join(group: string, storePath: number, directory: number, name: string): string {
  const hex = (storePath + 0x100).toString(16).toUpperCase().substring(1);
  return `${group}/M${hex}/${directories(directory)}/${name}`;
}

/** Encodes the 20 bytes of a new normal ID, or of an appender. Throws a FileIdError if a number is out of range. */
function encodeKey(key: NewFileKey): Buffer {
  if (!(key.serverId >= 1 && key.serverId <= MAX_SERVER_ID)) fail('server id out of range');
  if (!(key.created >= 0 && key.created < TWO_32)) fail('time out of range');
  if (!(key.size >= 0 && key.size <= Number.MAX_SAFE_INTEGER)) fail('size out of range');
  if (!(key.counter >= 0 && key.counter <= 0x7fffff)) fail('counter out of range');
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(key.serverId, 0);
  bytes.writeUInt32BE(key.created, 4);
  const isPlain = key.size >= TWO_32 && !key.isAppender;
  const flags = MASKED + (key.isAppender ? APPENDER : 0) + key.counter;
  bytes.writeUInt32BE(isPlain ? Math.floor(key.size / TWO_32) : flags, 8);
  bytes.writeUInt32BE(key.isAppender ? 0 : key.size % TWO_32, 12);
  bytes.writeUInt32BE(key.crc32, 16);
  return bytes;
}

/**
 * The 7 characters after the key: random digits, then the extension. FastDFS's tools reject shorter names. `random` is any
 * non-negative integer; the digits are taken from it. Throws a FileIdError if the extension is longer than 6 characters.
 */
function makeTail(extension: string, random: number): string {
  const suffix = extension === '' ? '' : `.${extension}`;
  const digits = TAIL_LENGTH - suffix.length;
  if (digits < 0) fail('extension longer than 6 characters');
  return digits === 0 ? suffix : String(10 ** digits + (random % 10 ** digits)).substring(1) + suffix;
}

/** Whether these are the last 7 characters of the name of a file that is no slave: digits, and the extension with its dot. */
function isTail(tail: string): boolean {
  return tail.length === TAIL_LENGTH && /^[0-9]*(\.[A-Za-z0-9._-]*)?$/.test(tail);
}

/** The creation time of a name, in seconds since 1970. Does not check the name. */
function createdOf(name: string): number {
  return secondOf(name.substring(4, 12));
}

/** The 20 bytes of a name's key. Does not check the name. */
function keyOf(name: string): Buffer {
  return Buffer.from(name.substring(0, KEY_LENGTH), 'base64url');
}

function decodeSource(key: Buffer): FileSource {
  const serverId = key.readUInt32LE(0);
  if (serverId === 0) fail('no source');
  if (serverId <= MAX_SERVER_ID) return { serverId: serverId };
  return { ip: `${key.readUInt8(0)}.${key.readUInt8(1)}.${key.readUInt8(2)}.${key.readUInt8(3)}` };
}

/**
 * Decodes the last part of an ID, which contains everything but the location of the file. Throws a FileIdError whose message
 * is the reason.
 */
function decodeName(name: string): Pick<FileId, 'kind' | 'source' | 'created' | 'size' | 'crc32' | 'trunk'> {
  if (name.length <= KEY_LENGTH) fail('the name is too short');
  if (!/^[A-Za-z0-9_-]{27}[A-Za-z0-9._-]+$/.test(name)) fail('the name holds a character that no ID has');
  if ('AEIMQUYcgkosw048'.indexOf(name.charAt(KEY_LENGTH - 1)) < 0) fail('the 27th character carries stray bits');
  // FastDFS keeps the metadata of <name> in <name>-m.
  if (name.substring(name.length - 2) === '-m') fail('the name is that of a metadata file');

  const key = keyOf(name);
  const high = key.readUInt32BE(8);
  const low = key.readUInt32BE(12);
  const masked = high >= MASKED;
  const isTrunk = masked && (high & TRUNK) !== 0;
  const isAppender = masked && (high & APPENDER) !== 0;
  if (masked && (high & UNUSED) !== 0) fail('the size field has an unknown flag');
  if (!masked && high > 0x1fffff) fail('the size is impossible');
  if (isTrunk && isAppender) fail('the name is both trunk and appender');
  if (isAppender && low !== 0) fail('the name is an appender with a size');

  const tailStart = isTrunk ? KEY_LENGTH + TRUNK_LENGTH : KEY_LENGTH;
  const tailLength = name.length - tailStart;
  if (tailLength < 1) fail('the name is too short');
  if (tailLength > MAX_TAIL_LENGTH) fail('the name is too long');
  if (isTrunk && !/^[A-Za-z0-9_-]{16}$/.test(name.substring(KEY_LENGTH, tailStart))) {
    fail('the trunk part holds a character that no ID has');
  }
  const isSlave = !isTail(name.substring(tailStart));
  const kind: FileKind = isSlave ? 'slave' : isTrunk ? 'trunk' : isAppender ? 'appender' : 'normal';
  const known = kind === 'normal' || kind === 'trunk';
  let trunk: TrunkLocation | null = null;
  if (kind === 'trunk') {
    const bytes = Buffer.from(name.substring(KEY_LENGTH, tailStart), 'base64url');
    trunk = { file: bytes.readUInt32BE(0), offset: bytes.readUInt32BE(4), allocated: bytes.readUInt32BE(8) };
  }
  return {
    kind: kind,
    source: decodeSource(key),
    created: key.readUInt32BE(4),
    size: known ? (masked ? low : high * TWO_32 + low) : null,
    crc32: known ? key.readUInt32BE(16) : null,
    trunk: trunk,
  };
}

/**
 * Decodes an ID of fidfs or FastDFS: normal, appender, slave and trunk names, with server ids or addresses. Throws only
 * FileIdErrors, whatever the text; their message is the reason.
 */
function decode(id: string): FileId {
  // The longest ID: group 16, store path and directories 12, key 27, trunk 16, tail 30.
  if (id.length > 101) fail('the ID is too long');
  // In njs 0.7.9 $ in a regular expression also matches before a line feed at the end of the text.
  if (id.indexOf('\n') >= 0) fail('the ID holds a character that no ID has');
  const parts = id.split('/');
  if (parts.length !== 5) fail('an ID has five parts: group/M00/00/00/name');
  const group = parts[0] as string;
  const name = parts[4] as string;
  if (!/^[A-Za-z0-9_-]{1,16}$/.test(group)) fail('the group is not 1 to 16 letters, digits, - or _');
  if (!/^M[0-9A-F]{2}$/.test(parts[1] as string)) fail('the store path is not M and two upper-case hex digits');
  const pair = `${parts[2]}${parts[3]}`;
  if (!/^[0-9A-F]{2}$/.test(parts[2] as string) || !/^[0-9A-F]{4}$/.test(pair)) {
    fail('the directories are not two upper-case hex digits each');
  }
  const decoded = decodeName(name);
  return {
    group: group,
    storePath: parseInt((parts[1] as string).substring(1), 16),
    directory: parseInt(pair, 16),
    name: name,
    kind: decoded.kind,
    source: decoded.source,
    created: decoded.created,
    size: decoded.size,
    crc32: decoded.crc32,
    trunk: decoded.trunk,
  };
}

/** Formats a CRC32 as 8 lower-case hex digits. */
function hex32(value: number): string {
  return (value + TWO_32).toString(16).substring(1);
}

/** Formats seconds since 1970 as in JSON answers: `2026-11-22T06:16:19Z`. */
function isoSecond(created: number): string {
  return `${new Date(created * 1000).toISOString().substring(0, 19)}Z`;
}

/** The decoded fields of an ID, as the JSON of `GET /info/<id>` and of `fidfs info`. */
export interface FileInfo {
  id: string;
  group: string;
  storePath: number;
  kind: FileKind;
  source: FileSource;
  created: string;
  size: number | null;
  crc32: string | null;
}

/** Decodes an ID to its JSON form. Throws a FileIdError if it is not valid. */
function describe(id: string): FileInfo {
  const file = decode(id);
  return {
    id: id,
    group: file.group,
    storePath: file.storePath,
    kind: file.kind,
    source: file.source,
    created: isoSecond(file.created),
    size: file.size,
    crc32: file.crc32 === null ? null : hex32(file.crc32),
  };
}

// A default export is the only kind that njs 0.7.9 can import.
export default {
  NAME_PATTERN: NAME_PATTERN,
  SMALL_PATTERN: SMALL_PATTERN,
  APPENDER_PATTERN: APPENDER_PATTERN,
  TRUNK_PATTERN: TRUNK_PATTERN,
  MAX_SERVER_ID: MAX_SERVER_ID,
  isFileIdError: isFileIdError,
  directories: directories,
  join: join,
  encodeKey: encodeKey,
  makeTail: makeTail,
  isTail: isTail,
  createdOf: createdOf,
  keyOf: keyOf,
  decodeName: decodeName,
  decode: decode,
  describe: describe,
  hex32: hex32,
  isoSecond: isoSecond,
};
