/** Data of an upload. A path is of Node only; a Node stream is an AsyncIterable. */
export type UploadData =
  | Blob
  | Uint8Array
  | ArrayBuffer
  | string
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>
  | { path: string };

export interface FidfsOptions {
  /** Address of a node, or of several of one cluster, such as `https://files.example.com`. The next one is used on 503 and without a connection. */
  servers: string | readonly string[];
  /** A key, or an upload token; a function is called before each request. */
  key?: string | (() => string | undefined | Promise<string | undefined>);
  /** The setting `downloadKey`, for signed links. */
  downloadKey?: string;
  /** Address in links for others; by default the first of `servers`. */
  publicUrl?: string;
  /** Further rounds over all servers when none can be used, by default 3, with pauses between them. */
  retries?: number;
  /** Size in bytes from which an upload is resumable, by default 8 MiB. */
  resumableFrom?: number;
  /** Limit for each request without an upload, in milliseconds, by default 60,000. */
  timeout?: number;
  /** In place of the global `fetch`; resumable uploads do not use it. */
  fetch?: typeof globalThis.fetch;
}

export interface UploadOptions {
  /** File name, from which the server takes the extension; by default that of a File or a path. */
  name?: string;
  /** Extension without the dot, in place of that of the name. */
  ext?: string;
  /** Group of nodes that stores the file. */
  group?: string;
  /** ID of the file whose slave this one becomes, with `prefix`. */
  master?: string;
  prefix?: string;
  /** Size of a stream in bytes, if known, so that the server can refuse it at once. */
  size?: number;
  /** Whether the upload is resumable, regardless of its size. Streams and slaves never are. */
  resumable?: boolean;
  /** Called with what `resume` takes, once a resumable upload can be continued. */
  onResumable?: (upload: string) => void;
  /** Continues a resumable upload of before, of the same data. */
  resume?: string;
  /** Called with the sent bytes, and the size, if known. */
  onProgress?: (sent: number, size: number | undefined) => void;
  signal?: AbortSignal;
}

/** A challenge of the server to prove that one has a file: ranges are pairs of offset and length, in bytes. */
export interface Challenge {
  nonce: string;
  ranges: [number, number][];
}

export interface KnownOptions {
  name?: string;
  ext?: string;
  signal?: AbortSignal;
  /** Computes the hashes in place of this library, such as in a worker: SHA-256 in hex, of the data, and of the nonce and the ranges. */
  hasher?: { sha256: () => Promise<string>; prove: (challenge: Challenge) => Promise<string> };
}

/** A file as it was stored. */
export interface StoredFile {
  id: string;
  url: string;
  /** Bytes. */
  size: number;
  /** Eight hex digits. */
  crc32: string;
  /** 64 hex digits; undefined after a resumable upload. */
  sha256?: string;
  /** ISO 8601, in UTC. */
  created: string;
  /** Number of nodes that have it; undefined after a resumable upload, which is answered when there are enough. */
  copies?: number;
}

/** A file in a list. */
export interface ListedFile {
  id: string;
  /** `normal`, or `slave`, or `appender` and `trunk` of FastDFS. */
  kind: string;
  size: number;
  created: string;
  /** Null for a file of FastDFS that is not adopted. */
  sha256: string | null;
  /** Null where the ID does not contain it. */
  crc32: string | null;
  ext: string;
  /** Server id of the node that took it, or the address, for some files of FastDFS. */
  source: number | string;
}

/** What an ID contains. */
export interface FileInformation {
  id: string;
  group: string;
  storePath: number;
  kind: string;
  source: { serverId: number } | { ip: string };
  created: string;
  /** Null if the ID does not contain it. */
  size: number | null;
  crc32: string | null;
}

export interface ListOptions {
  /** Files created at `from` or later, and before `to`: a Date, ISO 8601, or seconds since 1970. */
  from?: Date | string | number;
  to?: Date | string | number;
  /** By default newest first. */
  order?: 'newest' | 'oldest';
  group?: string;
  /** Without the dot; empty for files without an extension. */
  ext?: string;
  /** Files of one request, 1 to 1,000, by default 1,000. */
  pageSize?: number;
  signal?: AbortSignal;
}

/** `accepted`: deleted, but on `copies` nodes so far, of the `wanted`. */
export interface Deleted {
  id: string;
  status: 'deleted' | 'accepted' | 'not-found';
  copies?: number;
  wanted?: number;
}

/** A result for one of many IDs; `status` may also be the name of a problem, with its `detail`. */
export interface BatchResult extends Partial<Omit<ListedFile, 'id'>> {
  id: string;
  status: 'deleted' | 'accepted' | 'stored' | 'not-found' | (string & {});
  copies?: number;
  wanted?: number;
  detail?: string;
}

/** How long a link or token is valid: `for` seconds, or a text such as `30m`, `1h`, `7d`; or until `expires`, a Date or seconds since 1970. */
export interface Validity {
  for?: number | string;
  expires?: Date | number;
}

export interface LinkOptions extends Validity {
  /** Name under which the browser saves the file. */
  download?: string;
  /** The link is for the picture of this preset. */
  preset?: string;
}

export interface TokenOptions extends Validity {
  /** Name of the key that signs; without it the key of the settings does. */
  keyName?: string;
  /** Key that signs, with the right `sign`; by default that of the client. */
  secret?: string;
  /** Largest file in bytes. */
  maxSize?: number;
  /** Extensions and media types. */
  types?: readonly string[];
  group?: string;
}
