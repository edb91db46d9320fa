import { createRequire } from 'node:module';
import { PROBLEM_TYPE } from '../../daemon/operations/problems.js';
import type { Answer } from './node.js';

/*
 * Compares answers with docs/openapi.yaml, as bin/description.mjs has compiled it.
 */

/** A part of a response and the name of its validator; null if it may have any value. */
interface Described {
  validator: string | null;
}

export interface DescribedResponse {
  headers: (Described & { name: string; isRequired: boolean })[];
  /** By media type; a range such as `image/*` stands for all of its types. */
  content: (Described & { type: string })[];
}

export interface Operation {
  method: string;
  /** As in the description, with `{parameters}`. */
  path: string;
  /** A regular expression for its addresses. */
  pattern: string;
  responses: Record<string, DescribedResponse>;
}

interface Validator {
  (value: unknown): boolean;
  errors?: { instancePath: string; message?: string; params?: unknown }[] | null;
}

interface Description {
  operations: Operation[];
  /** The name of the validator of problem documents. */
  problem: string;
  validators: Record<string, Validator>;
}

/** A request whose answer is checked. `publicUrl` is that of the node; empty or undefined without one. */
export interface Asked {
  method: string;
  path: string;
  headers: object;
  publicUrl: string | undefined;
}

/** Addresses that are not for clients, and those that lead to the web page. */
const NOT_PUBLIC = /^\/(?:$|console(?:\/|$)|\.fidfs\/|(?:status|adopt|scrub)$)/;

/** Paths of `publicUrl` below which nginx does not serve the node once more, because it has such addresses itself. */
const OWN = /^\/(?:upload|tus|info|metadata|picture|group\d)(?:\/|$)/;

const require = createRequire(import.meta.url);
let loaded: Description | undefined;

/** The description. It is loaded with the first answer: most of the processes of a test get none. */
export function description(): Description {
  if (loaded) return loaded;
  const { operations, problem, ...validators } = require('../description.cjs') as Omit<Description, 'validators'>;
  const parameters = ({ path }: Operation) => (path.startsWith('/{') ? 100 : path.split('{').length);
  // An address without parameters before those with some that match it, too; files, whose address has no prefix, last.
  operations.sort((one, other) => parameters(one) - parameters(other));
  loaded = { operations, problem, validators: validators as unknown as Record<string, Validator> };
  return loaded;
}

/**
 * Throws an error that says how an answer differs from the description. The process then exits with 1 even if the error is caught, because many tests expect the failure of a request.
 */
export function assertDescribed(asked: Asked, answer: Answer): void {
  const reason = differenceOf(asked, answer);
  if (reason === undefined) return;
  const body = answer.body.toString().slice(0, 500);
  const words = `docs/openapi.yaml: ${asked.method} ${asked.path}: ${answer.status}: ${reason}`;
  process.once('exit', () => {
    process.stderr.write(`${words}\n`);
    process.exitCode ||= 1;
  });
  throw new Error(`${words}; the body: ${body}`);
}

/** How an answer differs from the description; undefined if it does not. */
export function differenceOf(asked: Asked, answer: Answer): string | undefined {
  const { method } = asked;
  const path = pathOf(asked);
  const isPreflight = method === 'OPTIONS' && 'access-control-request-method' in asked.headers;
  if (NOT_PUBLIC.test(path) || (isPreflight && answer.status === 204)) return undefined;
  const operation = operationOf(method, path);
  const response = operation?.responses[answer.status];
  if (response) return differenceFrom(response, method, answer);
  if (operation) return `the status is not among those of ${operation.method} ${operation.path}`;
  if (answer.status < 400) return 'the address does not have this method';
  if (answer.status === 405 && answer.headers.allow === undefined) return 'the header allow is missing';
  const problem = { type: PROBLEM_TYPE, validator: description().problem };
  // With `notFoundImage` that of a picture is one.
  const content = answer.status === 404 ? [problem, { type: 'image/*', validator: null }] : [problem];
  return differenceFrom({ headers: [], content }, method, answer);
}

export function operationOf(method: string, path: string): Operation | undefined {
  return description().operations.find((one) => one.method === method && new RegExp(one.pattern, 's').test(path));
}

/** The path of an address as nginx normalises it, without that of `publicUrl`. */
function pathOf({ path, publicUrl }: Asked): string {
  const encoded = new URL(path.replace(/^\/+/, '/'), 'http://node').pathname;
  const normal = decoded(encoded).replace(/\/+/g, '/');
  const base = !publicUrl ? '' : new URL(publicUrl).pathname.replace(/\/$/, '');
  // nginx strips a path that is repeated as a whole.
  let own = normal;
  while (base !== '' && !OWN.test(base) && own.startsWith(`${base}/`)) own = own.slice(base.length);
  // It leads to the page.
  if (own === base) return '/';
  return { '/tus': '/tus/', '/upload/': '/upload' }[own] ?? own;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function differenceFrom({ headers, content }: DescribedResponse, method: string, answer: Answer): string | undefined {
  for (const { name, isRequired, validator } of headers) {
    const value = answer.headers[name]?.toString();
    if (value === undefined && isRequired) return `the header ${name} is missing`;
    const fault = value === undefined ? undefined : faultOf(validator, value);
    if (fault !== undefined) return `the header ${name} is ${JSON.stringify(value)}: ${fault}`;
  }
  if (method === 'HEAD') return undefined;
  if (content.length === 0) return answer.body.length === 0 ? undefined : 'there is a body';
  const type = String(answer.headers['content-type'] ?? '').replace(/\s*;.*$/, '');
  const found = content.find((one) => isOf(type, one.type));
  if (!found) return `the content-type ${JSON.stringify(type)} is not among those described`;
  if (found.validator === null) return undefined;
  const text = answer.body.toString();
  return faultOf(found.validator, /json$/.test(type) ? parsed(text) : text);
}

function isOf(type: string, range: string): boolean {
  return range === '*/*' || type === range || (range.endsWith('/*') && type.startsWith(range.slice(0, -1)));
}

/** The parsed JSON; undefined, which fits no schema, if it is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function faultOf(name: string | null, value: unknown): string | undefined {
  const validator = name === null ? undefined : description().validators[name];
  if (!validator || validator(value)) return undefined;
  const [first] = validator.errors ?? [];
  return `${first?.instancePath ?? ''} ${first?.message ?? 'does not fit'} ${JSON.stringify(first?.params ?? {})}`;
}
