/** One part of a multipart/form-data body: a file when it has a file name or a type, else a text field. */
export interface Part {
  name?: string;
  /** Written as it stands between quotes. */
  fileName?: string;
  type?: string;
  content: Buffer | string;
}

export const BOUNDARY = '----fidfs-test-boundary';
/** The headers that go with a body of `multipart`. */
export const MULTIPART = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };

/** A multipart/form-data body, byte for byte as browsers and curl write it. */
export function multipart(...parts: Part[]): Buffer {
  const pieces = parts.flatMap(({ name = 'file', fileName, type, content }) => [
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"`,
    fileName === undefined ? '' : `; filename="${fileName}"`,
    type === undefined ? '' : `\r\nContent-Type: ${type}`,
    '\r\n\r\n',
    content,
    '\r\n',
  ]);
  return Buffer.concat([...pieces, `--${BOUNDARY}--\r\n`].map((piece) => Buffer.from(piece)));
}
