import { z } from 'zod';

/*
 * How logs and files travel: the length of a head (4 bytes, big-endian), the head in JSON, then the bytes of the files
 * that it says are enclosed, one after the other.
 */

/** Files up to this size travel with the page; larger ones are fetched by themselves. In bytes. */
export const ENCLOSED_FILE = 128 * 1024;
/** What a page may hold. */
export const PAGE_BYTES = 8 * 2 ** 20;
export const PAGE_ENTRIES = 512;
/** Tombstones in one answer to anti-entropy, as keys of 20 bytes. */
export const PAGE_TOMBSTONES = 8192;
/** The longest page that is read: a page may go over by one file. */
export const PAGE_LIMIT = PAGE_BYTES + 4 * ENCLOSED_FILE;

const number = z.number().int().nonnegative();

const fileSchema = z.object({
  id: z.string().max(101),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Bytes of it in this page; absent when it is not enclosed. */
  enclosed: number.max(ENCLOSED_FILE).optional(),
});

/** A file as a page names it. */
export type PageFile = z.output<typeof fileSchema>;

const entrySchema = z.union([
  fileSchema.extend({ number }),
  z.object({ number, removed: z.string().max(101), foreign: z.boolean() }),
]);

const logSchema = z.object({
  /** The epoch of the log (nodes of earlier versions call it so). */
  incarnation: z.string().max(64),
  /** The newest sequence number of the log. */
  end: number,
  /** Whether the cursor is not one of this log's history, or lies before what is left of it; then there are no entries. */
  gap: z.boolean(),
  /** Up to here nothing but `entries` has happened. */
  upTo: number,
  /** When the first entry after `upTo` was made, in seconds since 1970; null when there is none. */
  nextTime: number.nullable(),
  entries: z.array(entrySchema).max(PAGE_ENTRIES),
});

/** A part of a replication log. */
export type LogPage = z.output<typeof logSchema>;

const filesSchema = z.object({ files: z.array(fileSchema).max(PAGE_ENTRIES) });

/** A page as buffers, to be written one after the other. */
export function encodePage(head: LogPage | { files: PageFile[] }, enclosed: readonly Buffer[]): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, ...enclosed]);
}

/** The head of a page, and what follows it. Throws when it is none. */
function split(page: Buffer): { head: unknown; rest: Buffer } {
  const length = page.length >= 4 ? page.readUInt32BE() : page.length;
  if (length + 4 > page.length) throw new Error('its page is cut off');
  return { head: JSON.parse(page.subarray(4, 4 + length).toString()), rest: page.subarray(4 + length) };
}

/** Gives each enclosed file its bytes. */
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

/** Reads a page of a log. Throws when it is none. */
export function decodeLog(page: Buffer): { log: LogPage; contents: Map<LogPage['entries'][number], Buffer> } {
  const { head, rest } = split(page);
  const log = logSchema.parse(head);
  return { log, contents: distribute(log.entries, rest) };
}

/** Reads a page of files. Throws when it is none. */
export function decodeFiles(page: Buffer): { files: PageFile[]; contents: Map<PageFile, Buffer> } {
  const { head, rest } = split(page);
  const { files } = filesSchema.parse(head);
  return { files, contents: distribute(files, rest) };
}
