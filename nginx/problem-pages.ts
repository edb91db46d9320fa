import { PROBLEM_TYPE, type ProblemName, problemDocument, RETRY_AFTER } from '../daemon/http/problems.js';
import { quoted } from './quote.js';

/*
 * The errors that nginx gives by itself, as problem documents.
 */

/** In named locations, for the `error_page`s of our own locations. */
const PROBLEMS: [status: number, name: ProblemName, detail: string][] = [
  [400, 'bad-request', 'The request is malformed.'],
  [403, 'forbidden', 'This address is for loopback and the networks in metricsFrom.'],
  [404, 'not-found', 'No such file here: never stored, deleted, or not a well-formed ID.'],
  [405, 'method-not-allowed', 'This address takes GET and HEAD; files go to /upload, by POST or PUT.'],
  [412, 'precondition-failed', 'The file is not the one that the condition names.'],
  [413, 'too-large', 'This address takes no such body; files go to /upload.'],
  [416, 'range-not-satisfiable', 'The range lies beyond the end of the file.'],
  [500, 'internal', 'Something went wrong here; the error log of nginx says what.'],
  [503, 'unavailable', 'The daemon of this node does not answer; try again in a few seconds.'],
];

/** What some of them need besides. */
const EXTRAS: Record<number, string> = {
  // nginx keeps the headers of the file that the range was asked of.
  416: 'js_import fidfs from njs/downloads.js;\n  js_header_filter fidfs.forgetCaching;\n  ',
  405: 'add_header Allow "GET, HEAD" always;\n  ',
  503: `add_header Retry-After ${RETRY_AFTER} always;\n  `,
};

/**
 * Errors from before nginx has a location, or even an address; an empty address cannot go to a named location.
 * Only in a server of our own: somebody else's has its own answers.
 */
const EARLY_PROBLEMS: [codes: string, status: number, name: ProblemName, detail: string][] = [
  ['400 501 505', 400, 'bad-request', 'The request is malformed.'],
  ['405', 405, 'method-not-allowed', 'This method is not taken here.'],
  ['413', 413, 'too-large', 'This address takes no such body; files go to /upload.'],
  ['414', 414, 'uri-too-long', 'The address is longer than any that leads somewhere here.'],
  ['494', 431, 'headers-too-large', 'The headers are larger than is taken here.'],
];

/** What answers a request with a problem document, whatever its address ends in. */
export function problemAnswer(status: number, name: ProblemName, detail: string): string {
  return `types { }
  default_type ${PROBLEM_TYPE};
  return ${status} ${quoted(JSON.stringify(problemDocument(name, detail)), '\\n')};`;
}

/** The named locations that `errorPages` leads to. */
export function problemLocations(): string {
  const location = ([status, name, detail]: (typeof PROBLEMS)[number]) => `location @fidfs_${status} {
  ${EXTRAS[status] ?? ''}${problemAnswer(status, name, detail)}
}`;
  return PROBLEMS.map(location).join('\n');
}

/** The directives for a location of ours that may give these statuses. */
export function errorPages(...statuses: number[]): string {
  return statuses.map((status) => `error_page ${status} @fidfs_${status};`).join(' ');
}

/** For a server of our own: what goes wrong before there is a location. */
export function earlyProblems(): string {
  return EARLY_PROBLEMS.map(
    ([codes, status, name, detail]) => `error_page ${codes} =${status} /.fidfs/problem/${status};
    location = /.fidfs/problem/${status} {
      internal;
      ${problemAnswer(status, name, detail)}
    }`,
  ).join('\n    ');
}
