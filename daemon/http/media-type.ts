import { Problem } from '../operations/problems.js';

const INSTEAD = 'Send files as multipart/form-data (HTML: enctype; JavaScript: FormData; curl: -F file=@photo.jpg)';

/** Media types that are refused without a name or an extension, and the detail of the problem. */
const OTHER_BODIES: [type: RegExp, detail: string][] = [
  [
    /^application\/x-www-form-urlencoded\s*(?:;|$)/i,
    `The Content-Type says that the body holds form fields, not a file. ${INSTEAD}, or the file itself as the body, with its own Content-Type or with ?ext= or ?filename= in the address.`,
  ],
  [
    /^(?:application|text)\/(?:[\w.-]+\+)?json\s*(?:;|$)/i,
    `The Content-Type is JSON, which is more often an object with fields than a file. ${INSTEAD}; to store JSON, add ?ext=json or ?filename= to the address.`,
  ],
];

/** Other multipart types are envelopes of several parts; their content is not a file. */
const OTHER_MULTIPART =
  'Of multipart types only multipart/form-data is accepted: send each file as a part of such a body, or as a body of its own.';

/**
 * Throws a Problem (`unsupported-media-type`) for a body whose media type is that of a form or of JSON, unless the client
 * names the file or its extension: some clients (curl --data-binary, PHP, Python's urllib, Java) send every body as a form.
 * Throws for all multipart types but multipart/form-data.
 */
export function assertIsFile(mediaType: string | undefined, isNamed: boolean): void {
  if (mediaType === undefined) return;
  if (/^multipart\/(?!form-data\s*(?:;|$))/i.test(mediaType))
    throw new Problem('unsupported-media-type', OTHER_MULTIPART);
  if (isNamed) return;
  const other = OTHER_BODIES.find(([type]) => type.test(mediaType));
  if (other) throw new Problem('unsupported-media-type', other[1]);
}
