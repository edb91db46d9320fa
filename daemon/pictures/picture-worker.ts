/*
 * A process that makes pictures, one at a time. A file may be made to exploit or exhaust a decoder: here that costs this process
 * only, which has no secrets in its environment, a limit of memory and low priority, and is killed if it takes too long.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { makePicture, prepare, type SharpModule } from './make.js';
import type { Order, Original, PictureMessage } from './order.js';

// The daemon has ended. exit() would wait for the picture under way.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

function say(message: PictureMessage): void {
  process.send?.(message);
}

async function bytesOf({ path, part }: Original): Promise<string | Buffer> {
  if (part === undefined) return path;
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(part.size);
    const { bytesRead } = await file.read(bytes, 0, part.size, part.offset);
    if (bytesRead !== part.size) throw new Error('the packed file is cut off');
    return bytes;
  } finally {
    await file.close();
  }
}

/** The largest file, in bytes, that is read whole to find out whether it is damaged when it is no picture: most are none anyway. */
const MOST_OF_REFUSED = 2 ** 26;

async function isDamaged({ path, sha256 }: Original): Promise<boolean> {
  if (sha256 === undefined) return false;
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) digest.update(chunk);
  return digest.digest('hex') !== sha256;
}

const DAMAGED: PictureMessage = { kind: 'damaged', reason: 'the file is damaged on the disk' };

async function answerTo(sharp: SharpModule, order: Order): Promise<PictureMessage> {
  const message = await attempt(sharp, order);
  if (message.kind !== 'made' && message.kind !== 'refused') return message;
  try {
    const { original } = order;
    const isChecked = message.kind === 'made' || (await stat(original.path)).size <= MOST_OF_REFUSED;
    return isChecked && (await isDamaged(original)) ? DAMAGED : message;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return { kind: 'unreadable', reason: code, isGone: code === 'ENOENT' };
  }
}

async function attempt(sharp: SharpModule, order: Order): Promise<PictureMessage> {
  try {
    return { kind: 'made', made: await makePicture(sharp, await bytesOf(order.original), order) };
  } catch (error) {
    const reason = (error as Error).message.replaceAll(order.original.path, 'the file').slice(0, 500);
    const failure = await access(order.original.path).catch((missing: unknown) => missing as NodeJS.ErrnoException);
    if (failure) return { kind: 'unreadable', reason: failure.code ?? reason, isGone: failure.code === 'ENOENT' };
    return { kind: 'refused', reason };
  }
}

try {
  const { default: sharp } = await import('sharp');
  prepare(sharp);
  process.on('message', (order: Order) => void answerTo(sharp, order).then(say));
  say({ kind: 'ready' });
} catch (error) {
  say({ kind: 'missing', reason: (error as Error).message.split('\n', 1)[0] ?? '' });
}
