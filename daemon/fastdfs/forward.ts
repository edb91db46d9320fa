import { once } from 'node:events';
import { connect } from 'node:net';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import type { StorageAddress } from './addresses.js';
import { HEADER_LENGTH, OutcomeUnknown, parseHeader, replyHeader, requestHeader, Status, WireError } from './codec.js';
import type { Body, Reply } from './connection.js';
import { SocketReader } from './socket-reader.js';

/** The longest reply of a forwarded command: a group and a name. */
const LONGEST_REPLY = 512;
/** Limit for the connection, and for pauses while the command is sent. */
const SEND_MILLISECONDS = 30_000;
/** Idle time after which the connection is probed while the reply is awaited, and the interval at which the node's state is looked at. */
const PROBE_MILLISECONDS = 10_000;
const LOOK_MILLISECONDS = 1000;
/** Time beyond `copyTimeout` within which a node that is down for this one is expected to reply. */
const ANSWER_MILLISECONDS = 5000;

/**
 * Forwards a command to the storage server of another node, and resolves with its reply. Rejects with a Problem (`unavailable`) if it
 * does not take the command whole, and with `OutcomeUnknown` if it then gives no whole reply. The reply has no time limit while the
 * node is up, because the change may wait for its copies; a node that is down has as long as these may take.
 * @param head the part of the body that has been read
 * @param rest the rest of the body, which is streamed
 */
export async function forward(
  { ip, port, id }: StorageAddress,
  command: number,
  head: Buffer,
  rest: Body,
  { cluster, settings }: Pick<Node, 'cluster' | 'settings'>,
): Promise<Reply> {
  const socket = connect({ host: ip, port, noDelay: true, timeout: SEND_MILLISECONDS });
  const failed = (cause?: unknown) =>
    new Problem('unavailable', `Node ${id}, which changes this file, does not answer; try again.`, { cause });
  const unanswered = (cause?: unknown) =>
    new OutcomeUnknown(Status.busy, `node ${id}, to which a command was forwarded, gave no whole reply`, { cause });
  let failure: Error | undefined;
  let timer: NodeJS.Timeout | undefined;
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
    socket.setTimeout(0).setKeepAlive(true, PROBE_MILLISECONDS);
    timer = setInterval(() => {
      const peer = cluster.peer(id);
      const isLost = !peer?.isUp && Date.now() - (peer?.since ?? 0) > settings.copyTimeout + ANSWER_MILLISECONDS;
      if (isLost) socket.destroy(new Error('it is down'));
    }, LOOK_MILLISECONDS).unref();
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
    clearInterval(timer);
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
