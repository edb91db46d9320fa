/** Body of a request, in the types that `fetch` of the platform takes. */
export type Body = Blob | Uint8Array | AsyncIterable<Uint8Array>;

/** Opened data of an upload. */
export interface Source {
  /** Bytes; undefined for a stream of unknown length. */
  readonly size: number | undefined;
  readonly name?: string | undefined;
  /** Media type; may be empty. */
  readonly type?: string | undefined;
  /** Reads a part; undefined for a stream, which can be read only once. */
  readonly slice: ((start: number, end: number) => Promise<Blob | Uint8Array>) | undefined;
  /** Returns the whole data. */
  readonly body: () => Promise<Body>;
  readonly close: () => Promise<void>;
}

/** Characters of a name that are sent. */
const LONGEST_NAME = 200;

const nothingToClose = async () => {};

export function ofBytes(bytes: Uint8Array): Source {
  return {
    size: bytes.byteLength,
    slice: async (start, end) => bytes.subarray(start, end),
    body: async () => bytes,
    close: nothingToClose,
  };
}

export function ofBlob(blob: Blob): Source {
  return {
    size: blob.size,
    name: 'name' in blob && typeof blob.name === 'string' ? blob.name : undefined,
    type: blob.type,
    slice: async (start, end) => blob.slice(start, end),
    body: async () => blob,
    close: nothingToClose,
  };
}

export async function bytesOf(part: Blob | Uint8Array): Promise<Uint8Array> {
  return part instanceof Blob ? new Uint8Array(await part.arrayBuffer()) : part;
}

/** The end of the name of a file, because only the extension counts; undefined if it has none. What is no Unicode becomes `_`. */
export function fileName(source: Source, { name = source.name }: { name?: string }): string | undefined {
  return name?.slice(-LONGEST_NAME).replace(/\p{Cs}/gu, '_');
}
