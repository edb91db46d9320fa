/*
 * The metadata of a file, in the form of FastDFS: records of a name and a value, sorted by name. The functions are pure; see
 * metadata-files.ts for the files that hold it.
 */

/** Separators between records, and between the name and the value of one. */
const RECORD_SEPARATOR = 1;
const FIELD_SEPARATOR = 2;
/** Maximum length of a name in bytes, as in FastDFS. Its clients limit values to 256 bytes, its server does not. */
export const METADATA_NAME = 64;
/** Maximum length of all metadata of a file, in bytes: it is sent to peers within a page. */
export const METADATA_LIMIT = 64 * 1024;
/** Maximum length of metadata of FastDFS that is adopted, in bytes: a peer sends it within a page. */
export const ADOPTED_METADATA = 2 ** 20;

/** A name and its value; any bytes but the separators. */
export type MetadataRecord = readonly [name: Buffer, value: Buffer];

/** Splits metadata into records. A record without a separator has an empty value; empty records are left out. */
export function parseMetadata(bytes: Buffer): MetadataRecord[] {
  return split(bytes, RECORD_SEPARATOR)
    .filter((record) => record.length > 0)
    .map((record) => {
      const end = record.indexOf(FIELD_SEPARATOR);
      return end < 0 ? [record, Buffer.alloc(0)] : [record.subarray(0, end), record.subarray(end + 1)];
    });
}

/** Joins records, sorted by name; those of the same name stay in their order. Names that are too long are cut. */
export function formatMetadata(records: readonly MetadataRecord[]): Buffer {
  const sorted = records
    .map(([name, value]) => [name.subarray(0, METADATA_NAME), value] as const)
    .sort(([one], [other]) => one.compare(other));
  const pieces: Buffer[] = [];
  for (const [name, value] of sorted) {
    if (pieces.length > 0) pieces.push(Buffer.of(RECORD_SEPARATOR));
    pieces.push(name, Buffer.of(FIELD_SEPARATOR), value);
  }
  return Buffer.concat(pieces);
}

/** The records of `current` whose names are not among those of `changes`, and all of `changes`. */
export function mergeMetadata(
  current: readonly MetadataRecord[],
  changes: readonly MetadataRecord[],
): MetadataRecord[] {
  const keyOf = ([name]: MetadataRecord) => name.subarray(0, METADATA_NAME).toString('latin1');
  const changed = new Set(changes.map(keyOf));
  return [...current.filter((record) => !changed.has(keyOf(record))), ...changes];
}

function split(bytes: Buffer, separator: number): Buffer[] {
  const pieces: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(separator); end >= 0; end = bytes.indexOf(separator, start)) {
    pieces.push(bytes.subarray(start, end));
    start = end + 1;
  }
  pieces.push(bytes.subarray(start));
  return pieces;
}
