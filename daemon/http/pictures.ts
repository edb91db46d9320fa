import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { FileId } from '../../file-id/file-id.js';
import { allPresets, presetDigest } from '../config/pictures.js';
import type { Metrics } from '../operations/metrics.js';
import { Problem, type ProblemName } from '../operations/problems.js';
import { NEGOTIATED, type Original } from '../pictures/order.js';
import { NoPicture, type PictureFault } from '../pictures/processes.js';
import type { Node } from '../status.js';
import { filePath } from '../store/layout.js';
import type { Store } from '../store/store.js';
import { decodeId } from './answers.js';

/** The header in which nginx says which of NEGOTIATED the client accepts; its cache has one entry for each combination. */
const ACCEPTED_HEADER = 'x-fidfs-accepted';

type Parts = Pick<Node, 'store' | 'settings' | 'pictures' | 'underWay'>;

/** Adds the route of pictures of the files on this node's disk. nginx looks for the file first, and keeps the pictures. */
export function addPictureRoute(server: FastifyInstance, node: Parts, metrics: Metrics, log: Logger): void {
  const { settings, pictures, store } = node;
  const presets = allPresets(settings);
  server.get('/picture/:preset/*', { onRequest: node.underWay.available }, async (request, reply) => {
    const { preset: name, '*': text } = request.params as { preset: string; '*': string };
    const preset = presets.get(name);
    if (!preset)
      throw new Problem(
        'no-such-preset',
        'The setting pictures of this node has no preset of this name; the preset console always exists.',
      );
    const id = decodeId(text);
    const original = id && originalOf(id, store, settings.group);
    if (!id || !original) throw new Problem('not-found', 'No such file here.');
    const accepted = acceptedBy(request);
    const key = [presetDigest(preset), accepted.join(), text].join(' ');
    const started = performance.now();
    try {
      const { type, bytes } = await pictures.make(key, { original, preset, accepted });
      const milliseconds = performance.now() - started;
      metrics.pictures.inc({ result: 'made' });
      metrics.pictureSeconds.observe(milliseconds / 1000);
      const made = { requestId: request.id, id: text, preset: name, type, bytes: bytes.length };
      log.info({ ...made, milliseconds: Math.round(milliseconds) }, 'made a picture');
      return reply
        .header('etag', tagOf(id, presetDigest(preset), type))
        .header('last-modified', new Date(id.created * 1000).toUTCString())
        .type(type)
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    } catch (error) {
      if (!(error instanceof NoPicture)) throw error;
      const { fault, message: reason } = error;
      metrics.pictures.inc({ result: fault });
      const isSerious = fault === 'died' || fault === 'unreadable' || fault === 'damaged';
      log[isSerious ? 'error' : 'info']({ requestId: request.id, id: text, preset: name, reason }, 'made no picture');
      throw problemOf(fault, settings.picturePixels);
    }
  });
}

/** The file of an ID on this node's disk; undefined if it is not there. Throws a Problem if no pictures are made of such files. */
function originalOf(id: FileId, store: Store, group: string): Original | undefined {
  const root = store.paths[id.storePath];
  if (id.group !== group || store.isDeleted(id)) return undefined;
  // Its content changes, and pictures are kept.
  if (id.kind === 'appender') throw new Problem('not-a-picture', 'This is an appender file, which can change.');
  if (!root?.isReadable) throw new Problem('unavailable', 'The disk that may have this file cannot be read now.');
  if (root.sizeOf(id.directory, id.name) !== undefined) {
    const sha256 = store.recordOf(id)?.sha256.toString('hex');
    return { path: filePath(root.root, id.directory, id.name), ...(sha256 && { sha256 }) };
  }
  const packed = store.packed.find(id);
  return packed && { path: packed.path, part: { offset: packed.offset, size: packed.size } };
}

function acceptedBy({ headers }: FastifyRequest): string[] {
  const header = headers[ACCEPTED_HEADER];
  const named = typeof header === 'string' ? header.split(' ') : [];
  return NEGOTIATED.filter((type) => named.includes(type));
}

/** Weak, because another version of sharp on another node may make other bytes of the same picture. */
function tagOf({ name }: FileId, digest: string, type: string): string {
  return `W/"${name}-${digest}-${type.replace('image/', '')}"`;
}

const PROBLEMS: Record<PictureFault, ProblemName> = {
  refused: 'not-a-picture',
  gone: 'not-found',
  unreadable: 'unavailable',
  damaged: 'unavailable',
  busy: 'unavailable',
  missing: 'no-pictures',
  died: 'unavailable',
  stopping: 'unavailable',
};

function problemOf(fault: PictureFault, pixels: number): Problem {
  const details: Record<PictureFault, string> = {
    refused: `Pictures are made of whole JPEG, PNG, GIF, WebP, AVIF and TIFF files of up to ${pixels.toLocaleString('en')} pixels.`,
    gone: 'No such file here.',
    unreadable: 'The file cannot be read now; try again in a few seconds.',
    damaged: 'The file is damaged on the disk of this node; "fidfs scrub" repairs it from another node.',
    busy: 'Too many pictures are being made; try again in a few seconds.',
    missing: 'This node makes no pictures: the package sharp is not installed, or cannot be loaded.',
    died: 'The picture could not be made; try again in a few seconds.',
    stopping: 'This node is stopping; try again in a few seconds.',
  };
  return new Problem(PROBLEMS[fault], details[fault]);
}
