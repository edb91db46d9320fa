import { PROBLEM_TYPE, type ProblemName, problemDocument, RETRY_AFTER } from '../daemon/operations/problems.js';
import { ANSWER_HEADERS } from './cors.js';
import { quoted } from './quote.js';

/*
 * Error responses that nginx creates itself, as problem documents (RFC 9457).
 */

/** Answered by named locations, the targets of `errorPages`. */
const PROBLEMS: [status: number, name: ProblemName, detail: string][] = [
  [400, 'bad-request', 'The request is malformed.'],
  [403, 'forbidden', 'This address is for loopback and the networks in metricsFrom.'],
  [404, 'not-found', 'No such file here: never stored, deleted, or not a well-formed ID.'],
  [405, 'method-not-allowed', 'This address takes GET and HEAD; files go to /upload, by POST or PUT.'],
  [412, 'precondition-failed', 'The file is not the one that the condition names.'],
  [413, 'too-large', 'This address takes no such body; files go to /upload.'],
  [416, 'range-not-satisfiable', 'The range lies beyond the end of the file.'],
  [500, 'internal', 'Internal error; the error log of nginx has the reason.'],
  [503, 'unavailable', 'The daemon of this node does not answer; try again in a few seconds.'],
];

/** Additional directives, by status. */
const EXTRAS: Record<number, string> = {
  // nginx keeps the response headers of the file.
  416: 'js_import fidfs from njs/downloads.js;\n  js_header_filter fidfs.forgetCaching;\n  ',
  405: 'add_header Allow "GET, HEAD" always;\n  ',
  // The size of a body is checked before the location's own directives.
  413: 'set $fidfs_cors_kind api;\n  ',
  503: `add_header Retry-After ${RETRY_AFTER} always;\n  `,
};

/**
 * Errors that occur before nginx has chosen a location or parsed a URI; with an empty URI `error_page` cannot use a named
 * location. Only in the complete configuration: an operator's own server has its own error pages.
 */
const EARLY_PROBLEMS: [codes: string, status: number, name: ProblemName, detail: string][] = [
  ['400 501 505', 400, 'bad-request', 'The request is malformed.'],
  ['405', 405, 'method-not-allowed', 'This method is not supported.'],
  ['413', 413, 'too-large', 'This address takes no such body; files go to /upload.'],
  ['414', 414, 'uri-too-long', 'The address is longer than any valid one.'],
  ['494', 431, 'headers-too-large', 'The headers are larger than is allowed here.'],
];

/** Returns the directives that answer with a problem document, whatever the extension in the URI. */
export function problemAnswer(status: number, name: ProblemName, detail: string): string {
  return `types { }
  default_type ${PROBLEM_TYPE};
  ${ANSWER_HEADERS}
  return ${status} ${quoted(JSON.stringify(problemDocument(name, detail)), '\\n')};`;
}

/** Returns the named locations to which `errorPages` refers. `instead`: directives that may answer before, by status. */
export function problemLocations(instead: Record<number, string> = {}): string {
  const location = ([status, name, detail]: (typeof PROBLEMS)[number]) => `location @fidfs_${status} {
  ${EXTRAS[status] ?? ''}${instead[status] ?? ''}${problemAnswer(status, name, detail)}
}`;
  return PROBLEMS.map(location).join('\n');
}

/** Returns the `error_page` directives for these statuses. */
export function errorPages(...statuses: number[]): string {
  return statuses.map((status) => `error_page ${status} @fidfs_${status};`).join(' ');
}

/** Returns the `error_page` directives and locations of `EARLY_PROBLEMS`. */
export function earlyProblems(): string {
  return EARLY_PROBLEMS.map(
    ([codes, status, name, detail]) => `error_page ${codes} =${status} /.fidfs/problem/${status};
    location = /.fidfs/problem/${status} {
      internal;
      ${problemAnswer(status, name, detail)}
    }`,
  ).join('\n    ');
}
