import { once } from 'node:events';
import { connect } from 'node:net';
import { Problem } from '../operations/problems.js';
import type { StorageAddress } from './addresses.js';
import { HEADER_LENGTH, OutcomeUnknown, parseHeader, replyHeader, requestHeader, Status, WireError } from './codec.js';
import type { Body, Reply } from './connection.js';
import { SocketReader } from './socket-reader.js';

/** The longest reply of a forwarded command: a group and a name. */
const LONGEST_REPLY = 512;
/** A node that does not answer for this long is not waited for any longer. */
const PATIENCE_MILLISECONDS = 30_000;

/**
 * Forwards a command to the storage server of another node, and resolves with its reply. Rejects with a Problem (`unavailable`) if it
 * does not take the command whole, and with `OutcomeUnknown` if it then gives no whole reply.
 * @param head the part of the body that has been read
 * @param rest the rest of the body, which is streamed
 */
export async function forward(
  { ip, port, id }: StorageAddress,
  command: number,
  head: Buffer,
  rest: Body,
): Promise<Reply> {
  const socket = connect({ host: ip, port, noDelay: true, timeout: PATIENCE_MILLISECONDS });
  const failed = (cause?: unknown) =>
    new Problem('unavailable', `Node ${id}, which changes this file, does not answer; try again.`, { cause });
  const unanswered = (cause?: unknown) =>
    new OutcomeUnknown(Status.busy, `node ${id}, to which a command was forwarded, gave no whole reply`, { cause });
  let failure: Error | undefined;
  socket.on('timeout', () => socket.destroy(new Error('it did not answer in time')));
  socket.on('error', (error) => {
    failure = error;
  });
  try {
    await once(socket, 'connect').catch((error: unknown) => {
      throw failed(error);
    });
    const reader = new SocketReader(socket);
    socket.write(Buffer.concat([requestHeader(head.length + rest.left, command), head]));
    await rest.stream({
      write: (chunk) => {
        if (socket.destroyed) throw failed(failure);
        return socket.write(chunk) ? undefined : drained(socket);
      },
    });
    if (!(await reader.fill(HEADER_LENGTH))) throw unanswered(failure);
    const { length = 0, flags: status } = parseHeader(reader.take(HEADER_LENGTH));
    if (length > LONGEST_REPLY) throw unanswered(new Error('it is too long'));
    const body = await reader.read(length).catch((error: unknown) => {
      // Not the client is gone, but the other node.
      throw unanswered(error);
    });
    if (status !== 0) throw new WireError(status, `node ${id} answered with status ${status}`);
    return Buffer.concat([replyHeader(length, status), body]);
  } finally {
    socket.destroy();
  }
}

/** Resolves when the socket takes more bytes, or is closed. */
function drained(socket: ReturnType<typeof connect>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}
