import type { Test } from 'tap';
import type { Answer } from './node.js';

/** The problem document of an answer. */
export function problemOf(answer: Answer): { type: string; title: string; status: number; detail: string } {
  return JSON.parse(answer.body.toString());
}

/** Asserts that an answer is the problem document (RFC 9457) of a catalogue entry; `what` describes the request. */
export function assertProblem(t: Test, answer: Answer, status: number, name: string, what: string): void {
  t.equal(answer.status, status, `${what}: status`, { body: answer.body.toString().slice(0, 500) });
  t.equal(answer.headers['content-type'], 'application/problem+json', `${what}: media type`);
  if (answer.body.length === 0) return; // the answer to a HEAD
  const problem = problemOf(answer);
  t.match(problem, { type: `urn:fidfs:problem:${name}`, title: /\w/, status, detail: /\w/ }, what);
}
