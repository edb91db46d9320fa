/*
 * The catalogue of every error that a client can get; docs/problems.md has the same. Details say what was wrong and what to
 * do; they contain no paths and no stacks.
 */
export const CATALOGUE = {
  'bad-request': [400, 'Malformed request'],
  'bad-id': [400, 'Not a file ID'],
  'no-file': [400, 'No file in the request'],
  'malformed-multipart': [400, 'Malformed multipart body'],
  'too-many-files': [400, 'Too many files in one request'],
  'bad-digest': [400, 'Malformed or misplaced digest'],
  'digest-mismatch': [400, 'The body is not what the digest says'],
  'bad-extension': [400, 'Extension refused'],
  'no-such-group': [400, 'No such group'],
  'no-key': [401, 'Upload key needed'],
  'wrong-key': [401, 'Wrong key'],
  'wrong-token': [401, 'Upload token not valid'],
  'not-a-peer': [401, 'Not a request of a peer'],
  forbidden: [403, 'Not from here'],
  'no-right': [403, 'Not permitted with this key'],
  'not-signed': [403, 'Signed link needed'],
  'link-expired': [403, 'Link expired'],
  'cross-site': [403, 'Not from the page of another site'],
  'wrong-proof': [403, 'Not the bytes that were asked for'],
  'not-found': [404, 'No such file'],
  'not-known': [404, 'Send the file'],
  'no-such-preset': [404, 'No such preset'],
  'method-not-allowed': [405, 'Method not allowed'],
  'not-json': [406, 'Metadata that JSON cannot hold'],
  'body-timeout': [408, 'The body stopped coming'],
  exists: [409, 'Name taken'],
  'offset-conflict': [409, 'Not where the upload stands'],
  'upload-expired': [410, 'Upload given up'],
  'upload-damaged': [410, 'What came of the upload is damaged'],
  'precondition-failed': [412, 'Precondition failed'],
  'too-large': [413, 'File too large'],
  'uri-too-long': [414, 'Address too long'],
  'unsupported-media-type': [415, 'Not taken as a file'],
  'type-not-allowed': [415, 'Type not permitted'],
  'unsupported-encoding': [415, 'Encoded body'],
  'not-a-picture': [415, 'Not a picture'],
  'range-not-satisfiable': [416, 'Range not satisfiable'],
  'upload-busy': [423, 'How the upload stands cannot be said now'],
  'too-many-wrong-keys': [429, 'Too many wrong keys'],
  'headers-too-large': [431, 'Headers too large'],
  'checksum-mismatch': [460, 'The piece is not what the checksum says'],
  internal: [500, 'Internal error'],
  'no-pictures': [501, 'No pictures are made here'],
  unavailable: [503, 'Not available now'],
  full: [507, 'No space left'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

/** The name of an error in the catalogue. */
export type ProblemName = keyof typeof CATALOGUE;

/** Whether a text is the name of an error in the catalogue. */
export function isProblemName(name: string): name is ProblemName {
  return Object.hasOwn(CATALOGUE, name);
}

export const PROBLEM_TYPE = 'application/problem+json';

/** The value of `Retry-After`, in seconds. */
export const RETRY_AFTER = '5';

/** The problem document (RFC 9457) of an error. */
export function problemDocument(name: ProblemName, detail: string) {
  const [status, title] = CATALOGUE[name];
  return { type: `urn:fidfs:problem:${name}`, title, status, detail };
}

/** An error whose message is sent to the client. */
export class Problem extends Error {
  override name = 'Problem';
  readonly status: number;

  constructor(
    readonly problem: ProblemName,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(detail, options);
    this.status = CATALOGUE[problem][0];
  }
}
