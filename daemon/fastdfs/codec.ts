/*
 * FastDFS's wire format: pure functions, no I/O. Facts: observation of FastDFS 6.16.1 and its clients.
 *
 * Every request and reply is a header of 10 bytes and a body. Integers are big-endian; texts are padded with zero bytes to the width
 * of their field.
 */

/** Length of a header in bytes. */
export const HEADER_LENGTH = 10;
/** The command of every reply. */
const REPLY = 100;

/** Status bytes of replies: numbers of Linux's errno. */
export const Status = { ok: 0, notFound: 2, failed: 5, busy: 16, exists: 17, invalid: 22, full: 28 } as const;

/** Commands of the tracker. */
export const TrackerCommand = {
  storageIds: 69,
  parameters: 75,
  oneGroup: 90,
  listGroups: 91,
  listStorages: 92,
  leader: 95,
  trackerStatistics: 96,
  storageStatistics: 97,
  volumeStatistics: 98,
  queryStore: 101,
  queryFetch: 102,
  queryUpdate: 103,
  queryStoreOfGroup: 104,
  queryFetchAll: 105,
  queryStoreAll: 106,
  queryStoreAllOfGroup: 107,
} as const;

/** Commands of the storage server. */
export const StorageCommand = {
  upload: 11,
  delete: 12,
  setMetadata: 13,
  download: 14,
  getMetadata: 15,
  uploadSlave: 21,
  fileInfo: 22,
  uploadAppender: 23,
  append: 24,
  modify: 34,
  truncate: 36,
  renameAppender: 38,
} as const;

/** Commands of both. */
export const CommonCommand = { quit: 82, activeTest: 111 } as const;

/** Widths of fields, in bytes. */
export const Width = {
  group: 16,
  groupInRecord: 17,
  extension: 6,
  prefix: 16,
  storageId: 16,
  version: 8,
  number: 8,
} as const;

/** Widths of addresses: with IPv4 (the default of FastDFS), or with IPv6. */
export type AddressWidth = 'ipv4' | 'ipv6';

/** Width of an address: in the answers of queries, and in file information and records. */
export function addressWidths(width: AddressWidth): { query: number; record: number } {
  return width === 'ipv6' ? { query: 45, record: 46 } : { query: 15, record: 16 };
}

/** The header of a request. */
export interface Header {
  /** Length of the body; undefined if it is negative or not a safe integer: then the end of the request is unknown. */
  length: number | undefined;
  command: number;
  /** Zero, except for flags of `fileInfo`. */
  flags: number;
}

/** Flags in the header of `fileInfo`. (Flag 2 asks that a miss is not logged; none is.) */
export const InfoFlag = { withoutCrc32: 1 } as const;

/** A malformed request, or one that FastDFS refuses. Its message is for the log; clients get the status. */
export class WireError extends Error {
  override name = 'WireError';

  constructor(
    /** A number of errno, such as those of `Status`. */
    readonly status: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A request that may have been carried out, or not: the connection is closed, because each status would say one of both. */
export class OutcomeUnknown extends WireError {
  override name = 'OutcomeUnknown';
}

/** A WireError of a malformed or refused request (22). */
export function invalid(message: string): WireError {
  return new WireError(Status.invalid, message);
}

/** Decodes the 10 bytes of a header. */
export function parseHeader(bytes: Buffer): Header {
  return { length: numberAt(bytes, 0), command: bytes.readUInt8(8), flags: bytes.readUInt8(9) };
}

/** Encodes the header of a reply. `length`: bytes of its body. */
export function replyHeader(length: number, status: number): Buffer {
  return headerOf(length, REPLY, status);
}

/** Encodes the header of a request. `length`: bytes of its body. */
export function requestHeader(length: number, command: number): Buffer {
  return headerOf(length, command, 0);
}

function headerOf(length: number, command: number, status: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_LENGTH);
  header.writeUInt32BE(Math.floor(length / 2 ** 32), 0);
  header.writeUInt32BE(length % 2 ** 32, 4);
  header.writeUInt8(command, 8);
  header.writeUInt8(status, 9);
  return header;
}

/** Encodes a reply with status 0. */
export function reply(...body: readonly Buffer[]): Buffer {
  const length = body.reduce((sum, { length }) => sum + length, 0);
  return Buffer.concat([replyHeader(length, Status.ok), ...body], HEADER_LENGTH + length);
}

/** The 8 bytes at an offset as an unsigned number; undefined if they are negative or beyond 2^53 - 1. */
function numberAt(bytes: Buffer, offset: number): number | undefined {
  const number = bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** Encodes a number in 8 bytes. Negative ones as two's complement. */
export function number64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(Width.number);
  bytes.writeBigInt64BE(BigInt(Math.trunc(value)));
  return bytes;
}

/** Encodes a text, padded with zero bytes, or cut, to a width. */
export function text(value: string, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.write(value, 'latin1');
  return bytes;
}

/** Reads the fields of a body one after another. Each method throws a WireError (22) if the field is not whole or not valid. */
export class Fields {
  private offset = 0;

  constructor(private readonly bytes: Buffer) {}

  byte(): number {
    return (this.take(1) as Buffer).readUInt8(0);
  }

  /** An unsigned number of 8 bytes. `what` names it in the error. */
  number(what: string): number {
    const value = numberAt(this.take(Width.number), 0);
    if (value === undefined) throw invalid(`${what} is negative or impossible`);
    return value;
  }

  /** An unsigned number of 8 bytes, of which any that is too large means as much as there is. */
  count(what: string): number {
    const value = this.take(Width.number).readBigInt64BE();
    if (value < 0n) throw invalid(`${what} is negative`);
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
  }

  /** An unsigned number of 4 bytes. */
  number32(): number {
    return this.take(4).readUInt32BE(0);
  }

  /** A text padded with zero bytes. */
  padded(width: number): string {
    const bytes = this.take(width);
    const end = bytes.indexOf(0);
    return bytes.toString('latin1', 0, end < 0 ? width : end);
  }

  /** A text that is not padded. A zero byte in it is no end but a part of it. */
  exact(length: number): string {
    return this.take(length).toString('latin1');
  }

  /** Everything to the end of the body. */
  rest(): Buffer {
    return this.take(this.bytes.length - this.offset);
  }

  /** Throws if something follows. */
  end(): void {
    if (this.offset !== this.bytes.length) throw invalid('the body is longer than its fields');
  }

  private take(length: number): Buffer {
    const end = this.offset + length;
    if (!(length >= 0 && end <= this.bytes.length)) throw invalid('the body is shorter than its fields');
    const bytes = this.bytes.subarray(this.offset, end);
    this.offset = end;
    return bytes;
  }
}
