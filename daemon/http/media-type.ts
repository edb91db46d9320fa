import { Problem } from './problems.js';

const INSTEAD = 'Send files as multipart/form-data (HTML: enctype; JavaScript: FormData; curl: -F file=@photo.jpg)';

/** What clients send when they meant to send a file, by their media type; and what to do instead. */
const OTHER_BODIES: [type: RegExp, detail: string][] = [
  [
    /^application\/x-www-form-urlencoded\s*(?:;|$)/i,
    `This says that it is the fields of a form, which hold no file. ${INSTEAD}, or the file itself as the body, with its own Content-Type or with ?ext= or ?filename= in the address.`,
  ],
  [
    /^(?:application|text)\/(?:[\w.-]+\+)?json\s*(?:;|$)/i,
    `This is JSON, which is an object with fields more often than a file. ${INSTEAD}; to store JSON, add ?ext=json or ?filename= to the address.`,
  ],
];

/** An envelope of several parts, of which none would be stored as what it is. */
const OTHER_MULTIPART =
  'Of multipart bodies only multipart/form-data is taken: send each file as a part of one, or by itself.';

/**
 * Throws a Problem for a body that is no file by its media type, unless the client says what kind of file it is: some
 * (curl --data-binary, PHP, Python's urllib, Java) call every body a form. Nothing makes a file of another multipart body.
 */
export function assertIsFile(mediaType: string | undefined, isNamed: boolean): void {
  if (mediaType === undefined) return;
  if (/^multipart\/(?!form-data\s*(?:;|$))/i.test(mediaType))
    throw new Problem('unsupported-media-type', OTHER_MULTIPART);
  if (isNamed) return;
  const other = OTHER_BODIES.find(([type]) => type.test(mediaType));
  if (other) throw new Problem('unsupported-media-type', other[1]);
}
