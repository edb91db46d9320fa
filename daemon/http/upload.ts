import type { FastifyReply, FastifyRequest } from 'fastify';
import fileId, { type FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { Problem } from '../operations/problems.js';
import { assertSlavesAreTaken, holderOf } from '../operations/slaves.js';
import { assertUploadsAreTaken, otherGroupFor, waitForCopies } from '../operations/uploads.js';
import type { Node } from '../status.js';
import type { ReceivedFile } from '../store/incoming-file.js';
import type { StoredFile } from '../store/records.js';
import type { Store } from '../store/store.js';
import { prefersText } from './accept.js';
import { nameInAddress } from './address.js';
import { decodeId } from './answers.js';
import { readBody } from './body.js';
import { checkContent, type ExpectedContent, expectedContent } from './digest.js';
import { extensionFromParameter, extensionOf } from './extension.js';
import { canForward, forwardUpload, ORIGIN_PARAMETER } from './forward.js';
import { assertIsFile } from './media-type.js';
import { receiveMultipart } from './multipart.js';
import type { SizeLimit } from './multipart-stream.js';
import { fileUrl, publicBase } from './public-address.js';
import { assertExtension, assertTypes } from './rights/file-types.js';
import { type Access, accessOf, assertGroup, groupsFor, sizeLimitOf } from './rights/limits.js';
import { assertNotEncoded, assertNotPiece } from './whole-body.js';

/** The files of one answered upload, and their size in bytes. */
export interface Upload {
  files: StoredFile[];
  bytes: number;
}

interface Parameters {
  ext: string | undefined;
  filename: string | undefined;
  crc32: string | undefined;
  group: string | undefined;
  origin: string | undefined;
  /** The ID of the file that this one becomes a slave of, and what its name has after the master's. */
  master: string | undefined;
  prefix: string | undefined;
}

/** What taking an upload needs of the node. */
export type UploadParts = Pick<Node, 'settings' | 'store' | 'cluster' | 'index' | 'copyPolicy' | 'replication'>;

/**
 * Receives the request's files, makes them durable on `copies` nodes, and answers 201. Undefined if the upload was forwarded
 * to another group and answered. Rejects with a Problem, a StoreError or ClientGone; then no file is kept.
 * @param isPassedOn whether a peer forwards the upload: then it is not forwarded again, and its public addresses begin with
 * the base that the peer sends
 */
export async function upload(
  request: FastifyRequest,
  reply: FastifyReply,
  node: UploadParts,
  isPassedOn: boolean,
): Promise<Upload | undefined> {
  const { settings, store } = node;
  const { headers } = request;
  assertNotEncoded(headers);
  assertNotPiece(headers);
  const parameters = readParameters(request);
  const access = accessOf(request);
  const base = (isPassedOn ? parameters.origin : undefined) ?? publicBase(request, settings);
  assertIsFile(headers['content-type'], parameters.ext !== undefined || parameters.filename !== undefined);
  const master = masterOf(parameters, headers['content-type']);
  const elsewhere = isPassedOn ? undefined : await choose(access, master, parameters, node);
  if (elsewhere) {
    await forwardUpload(request, reply, elsewhere, base, '/upload', access);
    return undefined;
  }
  assertGroup(access, settings.group);
  const expected = expectedContent(headers, parameters.crc32);
  const announced = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
  const limit = sizeLimitOf(access, settings.maxFileSize);
  const isMultipart = /^multipart\//i.test(headers['content-type'] ?? '');
  if (master) assertSlavesAreTaken(node);
  else assertUploadsAreTaken(node);
  const received = isMultipart
    ? await receiveParts(request, announced, store, limit, expected)
    : [await receiveRaw(request, announced, store, limit, parameters, access, master?.storePath)];
  let files: StoredFile[];
  try {
    const [first] = received as [ReceivedFile];
    if (!isMultipart) checkContent(expected, first);
    await assertTypes(access, received);
    files = master
      ? [await store.addSlave(master, parameters.prefix ?? '', first.extension, first)]
      : await store.add(received);
  } finally {
    for (const file of received) file.release();
  }
  return conclude(request, reply, files, base, node);
}

/**
 * Waits for the copies of files that are durable on this node and answers 201. If they are not made in time, removes the
 * files and rejects with a Problem (`unavailable`).
 */
export async function conclude(
  request: FastifyRequest,
  reply: FastifyReply,
  files: StoredFile[],
  base: string,
  node: Pick<Node, 'settings' | 'store' | 'copyPolicy'>,
): Promise<Upload> {
  await waitForCopies(files, node);
  const urlOf = (file: StoredFile) => fileUrl(node.settings, base, file.id);
  answer(request, reply, files, urlOf, (file) => node.copyPolicy.copiesOf(file));
  return { files, bytes: files.reduce((sum, file) => sum + file.size, 0) };
}

/** The node that an upload is forwarded to; undefined if it is stored here. Rejects with a Problem. */
async function choose(
  access: Access,
  master: FileId | undefined,
  parameters: Parameters,
  node: UploadParts,
): Promise<Peer | undefined> {
  if (!master) {
    const groups = groupsFor(access, parameters.group, node.cluster.groups);
    return otherGroupFor(node, groups, (peer) => canForward(peer, access));
  }
  assertGroup(access, master.group);
  return holderOf(master, parameters.master ?? '', node);
}

/** The file that an upload becomes a slave of; undefined if none is named. Throws a Problem. */
function masterOf({ master, prefix }: Parameters, type: string | undefined): FileId | undefined {
  if (master === undefined) {
    if (prefix === undefined) return undefined;
    throw new Problem('bad-request', 'A prefix is for a slave; name its master, too.');
  }
  const id = decodeId(master);
  if (!id) throw new Problem('bad-id', 'The master is not the ID of a file.');
  if (/^multipart\//i.test(type ?? '')) throw new Problem('bad-request', 'Send a slave as the body, not in a form.');
  return id;
}

function readParameters({ query, originalUrl }: FastifyRequest): Parameters {
  const parameters = query as Record<string, string | string[] | undefined>;
  const one = (name: string): string | undefined => {
    const value = parameters[name];
    if (Array.isArray(value)) throw new Problem('bad-request', `${name} is in the address twice; send it once.`);
    return value;
  };
  return {
    ext: one('ext'),
    filename: one('filename') || nameInAddress(originalUrl),
    crc32: one('crc32'),
    group: one('group'),
    origin: one(ORIGIN_PARAMETER),
    master: one('master'),
    prefix: one('prefix'),
  };
}

async function receiveParts(
  request: FastifyRequest,
  announced: number | undefined,
  store: Store,
  limit: SizeLimit,
  expected: ExpectedContent,
): Promise<ReceivedFile[]> {
  if (expected.crc32 !== undefined || expected.sha256) {
    throw new Problem('bad-digest', 'Digests are for raw bodies; send one file as the body, or leave them out.');
  }
  return receiveMultipart(request.raw, announced, store, limit);
}

async function receiveRaw(
  request: FastifyRequest,
  announced: number | undefined,
  store: Store,
  limit: SizeLimit,
  { ext, filename }: Parameters,
  access: Access,
  storePath: number | undefined,
): Promise<ReceivedFile> {
  const extension =
    ext !== undefined ? extensionFromParameter(ext) : extensionOf(filename, request.headers['content-type']);
  if (announced !== undefined && announced > limit.bytes) throw new Problem('too-large', limit.detail);
  assertExtension(access, extension);
  const file = store.receive(announced, undefined, storePath);
  try {
    await readBody(request.raw, file, limit.bytes, limit.detail);
    return await file.finish(extension);
  } catch (error) {
    await file.discard();
    throw error;
  }
}

function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  files: StoredFile[],
  urlOf: (file: StoredFile) => string,
  copiesOf: (file: StoredFile) => number,
): void {
  reply.code(201);
  const [only, ...more] = files;
  if (only && more.length === 0) reply.header('location', urlOf(only));
  if (prefersText(request.headers.accept)) {
    reply.type('text/plain').send(files.map((file) => `${file.id}\n`).join(''));
    return;
  }
  const described = files.map((file) => ({
    id: file.id,
    url: urlOf(file),
    size: file.size,
    crc32: fileId.hex32(file.crc32),
    sha256: file.sha256.toString('hex'),
    created: fileId.isoSecond(file.created),
    copies: copiesOf(file),
  }));
  reply.type('application/json').send(Buffer.from(`${JSON.stringify({ files: described })}\n`));
}
