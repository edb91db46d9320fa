/** One part of a multipart/form-data body: a file if it has a file name or a type, otherwise a text field. */
export interface Part {
  name?: string;
  /** Written unescaped between quotes. */
  fileName?: string;
  type?: string;
  content: Buffer | string;
}

export const BOUNDARY = '----fidfs-test-boundary';
/** The headers that go with a body of `multipart`. */
export const MULTIPART = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };

/** Builds a multipart/form-data body with the same bytes as browsers and curl. */
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
