import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Problem } from '../operations/problems.js';
import { assertUploadsAreTaken } from '../operations/uploads.js';
import { filePath } from '../store/layout.js';
import { readSmallBody } from './body.js';
import type { Challenges, Claim, Proven } from './challenges.js';
import { extensionFromParameter } from './extension.js';
import { publicBase } from './public-address.js';
import { assertExtension, assertTypeOfFile } from './rights/file-types.js';
import { type Access, accessOf, covers, sizeLimitOf } from './rights/limits.js';
import { conclude, type Upload, type UploadParts } from './upload.js';

/** Maximum length of the body, in bytes. */
const BODY_LIMIT = 4096;
const WORDS =
  'Send {"sha256":"<64 hex digits>","size":<bytes>,"ext":"jpg"}, then {"nonce":"…","proof":"<64 hex digits>"}.';

const sha256 = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/)
  .transform((hex) => Buffer.from(hex, 'hex'));
const claimSchema = z.strictObject({
  sha256,
  size: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  ext: z.string().max(100).default(''),
});
const proofSchema = z.strictObject({ nonce: z.string().regex(/^[0-9a-f]{32}$/), proof: sha256 });
const bodySchema = z.union([claimSchema, proofSchema]);

/**
 * `POST /upload/known`: gives a client an ID for a file that is already stored, if it proves possession of the bytes. Answers
 * a claim with a challenge, and a right proof as an upload, which it returns. Rejects with a Problem.
 */
export async function known(
  request: FastifyRequest,
  reply: FastifyReply,
  node: UploadParts,
  challenges: Challenges,
): Promise<Upload | undefined> {
  const base = publicBase(request, node.settings);
  const access = accessOf(request);
  const body = parse(await readSmallBody(request.raw, BODY_LIMIT));
  assertUploadsAreTaken(node);
  // The upload may go to another group.
  if (!covers(access, node.settings.group))
    throw new Problem('not-known', 'This node has no files for this key. Send the file.');
  if ('nonce' in body) {
    const proven = await challenges.answer(body.nonce, body.proof);
    if (proven === false) throw new Problem('wrong-proof', 'These are not the bytes of that file. Send the file.');
    if (proven) await assertPermitted(access, proven, node);
    const content = proven && { ...proven.claim, crc32: proven.crc32 };
    const file = content && (await node.store.addName(content, proven.location));
    if (!file) throw new Problem('not-known', 'The challenge does not exist, or has expired. Send the file.');
    return conclude(request, reply, [file], base, node);
  }
  const claim: Claim = { sha256: body.sha256, size: body.size, extension: extensionFromParameter(body.ext) };
  assertSize(access, claim.size);
  assertExtension(access, claim.extension);
  const challenge = node.settings.deduplicate ? await challenges.begin(claim) : undefined;
  if (!challenge) throw new Problem('not-known', 'No ID is given for this content without its bytes. Send the file.');
  const { nonce, ranges, expires } = challenge;
  const text = `${JSON.stringify({ nonce, ranges, expires: new Date(expires).toISOString() })}\n`;
  reply.type('application/json').send(Buffer.from(text));
  return undefined;
}

/** Throws a Problem (`too-large`) if a key or token does not permit files of this size; the node has this one already. */
function assertSize(access: Access, size: number): void {
  const { bytes, detail } = sizeLimitOf(access, Number.POSITIVE_INFINITY);
  if (size > bytes) throw new Problem('too-large', detail);
}

async function assertPermitted(access: Access, { claim, location }: Proven, { store }: UploadParts): Promise<void> {
  assertSize(access, claim.size);
  const root = store.paths[location.storePath]?.root ?? '';
  const path = filePath(root, location.directory, location.name);
  await assertTypeOfFile(access, claim.extension, path).catch((error: unknown) => {
    if (error instanceof Problem) throw error;
    throw new Problem('not-known', 'The file was deleted in the meantime. Send the file.', { cause: error });
  });
}

function parse(body: Buffer) {
  try {
    return bodySchema.parse(JSON.parse(body.toString()));
  } catch (error) {
    throw new Problem('bad-request', WORDS, { cause: error });
  }
}
