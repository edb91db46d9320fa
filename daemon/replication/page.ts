import { z } from 'zod';
import { ADOPTED_METADATA } from '../store/metadata.js';

/*
 * Format of the pages in which logs and files are sent: the length of a head (4 bytes, big-endian), the head in JSON, then the
 * contents of the files that the head marks as enclosed, in its order.
 */

/** Files up to this size are enclosed in the page; larger ones are fetched with a request each (of metadata, with a page of its own). In bytes. */
export const ENCLOSED_FILE = 128 * 1024;
/** Maximum content of a page: bytes of files, and entries. */
export const PAGE_BYTES = 8 * 2 ** 20;
export const PAGE_ENTRIES = 512;
/** Maximum number of tombstones in one response of `/tombstones`, as keys of 20 bytes. */
export const PAGE_TOMBSTONES = 8192;
/** The longest page that is read, in bytes: a page may exceed `PAGE_BYTES` by one file, and has a head. */
export const PAGE_LIMIT = PAGE_BYTES + ADOPTED_METADATA + 4 * ENCLOSED_FILE;

const number = z.number().int().nonnegative();

/** Maximum length of an ID, with the suffix of a metadata file. */
const ID_LENGTH = 103;

/** A file in a page or in the names of a directory. SHA-256 in hex. */
export const namedSchema = z.object({
  id: z.string().max(ID_LENGTH),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Bytes; only if the name does not contain it. */
  size: number.max(Number.MAX_SAFE_INTEGER).optional(),
  /** See `Version`; only of a file whose name does not determine its content. */
  version: number.optional(),
});

/** See `namedSchema`. */
export type NamedFile = z.output<typeof namedSchema>;

const fileSchema = namedSchema.extend({
  /** Length of its content in this page, in bytes; absent if it is not enclosed. */
  enclosed: number.max(ADOPTED_METADATA).optional(),
});

/** A file in the head of a page. SHA-256 in hex. */
export type PageFile = z.output<typeof fileSchema>;

const entrySchema = z.union([
  fileSchema.extend({ number }),
  z.object({ number, removed: z.string().max(ID_LENGTH), foreign: z.boolean() }),
]);

const logSchema = z.object({
  /** The epoch of the log (the name is of earlier versions). */
  incarnation: z.string().max(64),
  /** The newest sequence number of the log. */
  end: number,
  /** Whether the follower's cursor is invalid, or entries after it were truncated; then `entries` is empty. */
  gap: z.boolean(),
  /** `entries` has all entries after the cursor up to this sequence number, without files that were deleted since. */
  upTo: number,
  /** When the first entry after `upTo` was recorded, in seconds since 1970; null if there is none. */
  nextTime: number.nullable(),
  entries: z.array(entrySchema).max(PAGE_ENTRIES),
});

/** The head of a page of a replication log. */
export type LogPage = z.output<typeof logSchema>;

const unparsedLogSchema = logSchema.extend({ entries: z.array(z.unknown()).max(PAGE_ENTRIES) });

/** What must be readable of each entry. */
const anyEntrySchema = fileSchema.pick({ enclosed: true }).extend({ number });

const filesSchema = z.object({ files: z.array(fileSchema).max(PAGE_ENTRIES) });

/** Encodes a page. `enclosed`: contents of the enclosed files, in the order of the head. */
export function encodePage(head: LogPage | { files: PageFile[] }, enclosed: readonly Buffer[]): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, ...enclosed]);
}

/** Why a value could not be read, on one line. */
export function reasonOf(error: z.ZodError): string {
  return z.prettifyError(error).replace(/\s+/g, ' ');
}

/** The head of a page, and the contents after it. Throws if the page is malformed. */
function split(page: Buffer): { head: unknown; rest: Buffer } {
  const length = page.length >= 4 ? page.readUInt32BE() : page.length;
  if (length + 4 > page.length) throw new Error('its page is cut off');
  return { head: JSON.parse(page.subarray(4, 4 + length).toString()), rest: page.subarray(4 + length) };
}

/** Assigns the contents to the enclosed files. Throws if the lengths do not match. */
function distribute<File extends object>(files: readonly File[], rest: Buffer): Map<File, Buffer> {
  const contents = new Map<File, Buffer>();
  let offset = 0;
  for (const file of files) {
    const { enclosed } = file as { enclosed?: number };
    if (enclosed === undefined) continue;
    contents.set(file, rest.subarray(offset, offset + enclosed));
    offset += enclosed;
  }
  if (offset !== rest.length) throw new Error('its page is longer or shorter than its head says');
  return contents;
}

/** A page of a log, and the contents of its enclosed files. */
export interface DecodedLog {
  log: LogPage;
  contents: Map<LogPage['entries'][number], Buffer>;
  /** The reasons why entries could not be read, by sequence number; `log.entries` does not have them. */
  unreadable: Map<number, string>;
}

/** Decodes a page of a log, each entry by itself. Throws if the page is malformed. */
export function decodeLog(page: Buffer): DecodedLog {
  const { head, rest } = split(page);
  const { entries: unparsed, ...others } = unparsedLogSchema.parse(head);
  const unreadable = new Map<number, string>();
  const all = unparsed.map((one) => {
    const { data, error } = entrySchema.safeParse(one);
    if (data) return data;
    const entry = anyEntrySchema.parse(one);
    unreadable.set(entry.number, reasonOf(error));
    return entry;
  });
  const contents = distribute(all, rest) as DecodedLog['contents'];
  const entries = all.filter((one) => !unreadable.has(one.number)) as LogPage['entries'];
  return { log: { ...others, entries }, contents, unreadable };
}

/** Decodes a page of files. Throws if it is malformed. */
export function decodeFiles(page: Buffer): { files: PageFile[]; contents: Map<PageFile, Buffer> } {
  const { head, rest } = split(page);
  const { files } = filesSchema.parse(head);
  return { files, contents: distribute(files, rest) };
}
