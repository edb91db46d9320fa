import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { z } from 'zod';
import type { FileId } from '../../file-id/file-id.js';
import { readMetadata, setMetadata } from '../operations/metadata.js';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import { METADATA_LIMIT, METADATA_NAME, type MetadataRecord, parseMetadata } from '../store/metadata.js';
import { answerDeletion, decodeId } from './answers.js';
import type { Authorization } from './authorization.js';
import { readSmallBody } from './body.js';
import { accessOf, assertGroup } from './rights/limits.js';

/** Maximum length of the JSON, in bytes: escapes may make it longer than what is stored. */
const BODY_LIMIT = 4 * METADATA_LIMIT;

const bodySchema = z.record(
  z
    .string()
    .min(1)
    .regex(/^[^\u0001\u0002]*$/)
    .refine((name) => Buffer.byteLength(name) <= METADATA_NAME),
  z.string().regex(/^[^\u0001\u0002]*$/),
);
const WORDS = `Send a JSON object of strings, with names of 1 to ${METADATA_NAME} bytes and without the characters U+0001 and U+0002.`;

/** Adds `GET` and `PUT /metadata/<id>`: the metadata of a file as a JSON object of strings. */
export function addMetadataRoutes(
  server: FastifyInstance,
  node: Node,
  available: onRequestHookHandler,
  authorization: Authorization,
): void {
  server.get('/metadata/*', { onRequest: [available, authorization.requires('list')] }, async (request, reply) => {
    const { id, text } = idOf(request);
    const records = parseMetadata(await readMetadata(id, text, node));
    return reply.type('application/json').send(Buffer.from(`${JSON.stringify(toObject(records))}\n`));
  });

  server.put('/metadata/*', { onRequest: [available, authorization.requires('upload')] }, async (request, reply) => {
    const { id, text } = idOf(request);
    const records = toRecords(await readSmallBody(request.raw, BODY_LIMIT));
    return answerDeletion(reply, await setMetadata(id, text, { records, isMerge: false }, node));
  });
}

function idOf(request: FastifyRequest): { id: FileId; text: string } {
  const text = (request.params as { '*': string })['*'];
  const id = decodeId(text);
  if (!id) throw new Problem('bad-id', 'This is not the ID of a file.');
  assertGroup(accessOf(request), id.group);
  return { id, text };
}

/** The records as an object. Throws a Problem (`not-json`) if that would lose something: clients of FastDFS may store any bytes. */
function toObject(records: readonly MetadataRecord[]): Record<string, string> {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const entries = new Map<string, string>();
  for (const [name, value] of records) {
    try {
      const text = utf8.decode(name);
      if (entries.has(text)) throw notJson(`has the name ${JSON.stringify(text)} twice`);
      entries.set(text, utf8.decode(value));
    } catch (error) {
      throw error instanceof Problem ? error : notJson('has bytes that are not UTF-8');
    }
  }
  return Object.fromEntries(entries);
}

function notJson(words: string): Problem {
  return new Problem('not-json', `The metadata of this file ${words}; clients of FastDFS's protocol get it unchanged.`);
}

function toRecords(body: Buffer): MetadataRecord[] {
  let json: unknown;
  try {
    json = JSON.parse(body.toString());
  } catch {
    throw new Problem('bad-request', WORDS);
  }
  const parsed = bodySchema.safeParse(json);
  if (!parsed.success) throw new Problem('bad-request', WORDS);
  return Object.entries(parsed.data).map(([name, value]) => [Buffer.from(name), Buffer.from(value)]);
}
