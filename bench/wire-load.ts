/*
 * A load of FastDFS's protocol, in a process of its own: `node wire-load.js HOST PORT WORK CONNECTIONS SECONDS BYTES [ID …]`. Prints the
 * number of requests as JSON. WORK is `upload`, `download` of the given IDs, or `http`: GET of the given paths.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const HEADER = 10;
const [host = '', port = '', work = '', connections = '', seconds = '', bytes = '', ...ids] = process.argv.slice(2);
const end = Date.now() + Number(seconds) * 1000;
const size = Number(bytes);

function header(length: number, command: number): Buffer {
  const bytes = Buffer.alloc(HEADER);
  bytes.writeBigUInt64BE(BigInt(length));
  bytes.writeUInt8(command, 8);
  return bytes;
}

/** A whole upload, into any store path. */
function uploadRequest(): Buffer {
  const fields = Buffer.alloc(15);
  fields.writeUInt8(0, 0);
  fields.writeBigUInt64BE(BigInt(size), 1);
  fields.write('jpg', 9);
  return Buffer.concat([header(15 + size, 11), fields, randomBytes(size)]);
}

function downloadRequest(id: string): Buffer {
  const [group = '', ...name] = id.split('/');
  const fields = Buffer.alloc(32);
  fields.write(group, 16);
  const text = Buffer.from(name.join('/'));
  return Buffer.concat([header(32 + text.length, 14), fields, text]);
}

function getRequest(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`);
}

/** Resolves when an HTTP answer with `bytes` bytes has arrived whole; rejects if its status is not 200. */
function answerOf(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    let whole = Number.POSITIVE_INFINITY;
    const onData = (chunk: Buffer) => {
      if (received === 0) {
        const end = chunk.indexOf('\r\n\r\n');
        if (end < 0 || !chunk.toString('latin1', 0, 12).endsWith(' 200')) reject(new Error(chunk.toString('latin1')));
        whole = end + 4 + size;
      }
      received += chunk.length;
      if (received < whole) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
  });
}

/** Resolves when a reply has arrived whole; rejects if its status is not 0. */
function replyOf(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    let left = -1;
    const onData = (chunk: Buffer) => {
      if (left < 0) {
        head = Buffer.concat([head, chunk]);
        if (head.length < HEADER) return;
        if (head.readUInt8(9) !== 0) reject(new Error(`status ${head.readUInt8(9)}`));
        left = Number(head.readBigUInt64BE()) + HEADER - head.length;
      } else left -= chunk.length;
      if (left > 0) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
  });
}

let requests = 0;

async function run(): Promise<void> {
  const socket = connect({ port: Number(port), host, noDelay: true });
  await once(socket, 'connect');
  // Nothing would end the wait for a reply.
  socket.on('close', () => {
    if (Date.now() < end) throw new Error('the server has closed the connection');
  });
  const upload = uploadRequest();
  const downloads = ids.map(work === 'http' ? getRequest : downloadRequest);
  for (let turn = 0; Date.now() < end; turn++) {
    // Other bytes each time, so that nothing is deduplicated, without the cost of random ones.
    if (work === 'upload') upload.writeUInt32BE((upload.readUInt32BE(HEADER + 15) + 1) >>> 0, HEADER + 15);
    socket.write(work === 'upload' ? upload : (downloads[turn % downloads.length] as Buffer));
    await (work === 'http' ? answerOf(socket) : replyOf(socket));
    requests++;
  }
  socket.destroy();
}

await Promise.all(Array.from({ length: Number(connections) }, run));
process.stdout.write(JSON.stringify({ requests }));
