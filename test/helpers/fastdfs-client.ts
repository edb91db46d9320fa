import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Above all delays that a test waits for. */
const PATIENCE_MILLISECONDS = 90_000;

/** A reply of FastDFS's protocol. */
export interface WireReply {
  status: number;
  body: Buffer;
}

/** A text padded with zero bytes. */
export function padded(value: string, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.write(value, 'latin1');
  return bytes;
}

/** A number of 8 bytes. */
export function number(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

/** A group of 16 bytes, and a name. */
export function named(id: string): Buffer {
  const [group = '', ...name] = id.split('/');
  return Buffer.concat([padded(group, 16), Buffer.from(name.join('/'), 'latin1')]);
}

/** The name of an ID on the wire: without its group. */
function nameOf(id: string): Buffer {
  return Buffer.from(id.slice(id.indexOf('/') + 1), 'latin1');
}

/** One connection to a tracker or a storage server, written from the facts about the protocol alone. */
export class WireClient {
  private received: Buffer[] = [];
  private length = 0;
  private isClosed = false;
  private wake: () => void = () => {};

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.received.push(chunk);
      this.length += chunk.length;
      this.wake();
    });
    const closed = () => {
      this.isClosed = true;
      this.wake();
    };
    socket.on('error', closed).on('close', closed).on('end', closed);
  }

  static async connect(port: number, host = '127.0.0.1', localAddress?: string): Promise<WireClient> {
    const socket = connect({ port, host, noDelay: true, ...(localAddress === undefined ? {} : { localAddress }) });
    await once(socket, 'connect');
    return new WireClient(socket);
  }

  get isOpen(): boolean {
    return !this.isClosed;
  }

  /** Sends a request whole. `length` is what its header says, by default the truth. */
  send(command: number, body: Buffer = Buffer.alloc(0), { flags = 0, length = BigInt(body.length) } = {}): void {
    const header = Buffer.alloc(10);
    header.writeBigUInt64BE(BigInt.asUintN(64, length));
    header.writeUInt8(command, 8);
    header.writeUInt8(flags, 9);
    this.socket.write(Buffer.concat([header, body]));
  }

  /** Resolves with the next reply; rejects if the connection ends before. */
  async reply(): Promise<WireReply> {
    const header = await this.take(10);
    const length = Number(header.readBigUInt64BE());
    if (header.readUInt8(8) !== 100) throw new Error(`a reply has command ${header.readUInt8(8)}`);
    return { status: header.readUInt8(9), body: await this.take(length) };
  }

  /** Sends a request and resolves with its reply. */
  ask(command: number, body?: Buffer, options?: { flags?: number; length?: bigint }): Promise<WireReply> {
    this.send(command, body, options);
    return this.reply();
  }

  /** As `ask`; rejects unless the status is 0. */
  async get(command: number, body?: Buffer): Promise<Buffer> {
    const reply = await this.ask(command, body);
    if (reply.status !== 0) throw new Error(`command ${command}: status ${reply.status}`);
    return reply.body;
  }

  /** Uploads a file, or an appender (23); resolves with its ID. */
  async upload(content: Buffer, extension = 'txt', { path = 255, command = 11 } = {}): Promise<string> {
    const { status, id } = await this.tryUpload(content, extension, { path, command });
    if (status !== 0) throw new Error(`command ${command}: status ${status}`);
    return id;
  }

  /** As `upload`, with any status. */
  async tryUpload(
    content: Buffer,
    extension = 'txt',
    { path = 255, command = 11 } = {},
  ): Promise<{ status: number; id: string }> {
    const fields = Buffer.concat([Buffer.from([path]), number(content.length), padded(extension, 6)]);
    const { status, body } = await this.ask(command, Buffer.concat([fields, content]));
    return { status, id: status === 0 ? idOf(body) : '' };
  }

  async uploadSlave(master: string, prefix: string, extension: string, content: Buffer): Promise<WireReply> {
    const name = nameOf(master);
    const fields = [number(name.length), number(content.length), padded(prefix, 16), padded(extension, 6)];
    return this.ask(21, Buffer.concat([...fields, name, content]));
  }

  download(id: string, offset: number | bigint = 0, count: number | bigint = 0): Promise<WireReply> {
    return this.ask(14, Buffer.concat([number(offset), number(count), named(id)]));
  }

  delete(id: string): Promise<WireReply> {
    return this.ask(12, named(id));
  }

  info(id: string, flags = 0): Promise<WireReply> {
    return this.ask(22, named(id), { flags });
  }

  append(id: string, piece: Buffer): Promise<WireReply> {
    return this.ask(24, Buffer.concat([number(nameOf(id).length), number(piece.length), nameOf(id), piece]));
  }

  modify(id: string, offset: number, piece: Buffer): Promise<WireReply> {
    const fields = [number(nameOf(id).length), number(offset), number(piece.length)];
    return this.ask(34, Buffer.concat([...fields, nameOf(id), piece]));
  }

  truncate(id: string, size: number): Promise<WireReply> {
    return this.ask(36, Buffer.concat([number(nameOf(id).length), number(size), nameOf(id)]));
  }

  /** Makes a normal file of an appender; the reply names it. */
  regenerate(id: string): Promise<WireReply> {
    return this.ask(38, nameOf(id));
  }

  setMetadata(id: string, values: Record<string, string>, flag = 'O'): Promise<WireReply> {
    const records = Object.entries(values).map(([name, value]) => `${name}\x02${value}`);
    const metadata = Buffer.from(records.join('\x01'));
    const lengths = [number(nameOf(id).length), number(metadata.length)];
    return this.ask(13, Buffer.concat([...lengths, Buffer.from(flag), named(id), metadata]));
  }

  getMetadata(id: string): Promise<WireReply> {
    return this.ask(15, named(id));
  }

  /** Resolves when the other side has closed the connection. */
  async closed(): Promise<void> {
    while (!this.isClosed) await this.change();
  }

  close(): void {
    this.socket.destroy();
  }

  private async take(length: number): Promise<Buffer> {
    while (this.length < length) {
      if (this.isClosed) throw new Error('the connection was closed');
      await this.change();
    }
    const all = Buffer.concat(this.received);
    this.received = [all.subarray(length)];
    this.length -= length;
    return all.subarray(0, length);
  }

  /** Resolves when bytes arrive or the connection ends; rejects if neither happens for a long time. */
  private change(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no reply')), PATIENCE_MILLISECONDS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The ID in the reply of an upload. */
export function idOf(reply: Buffer): string {
  const group = reply.toString('latin1', 0, 16).replace(/\0.*$/s, '');
  return `${group}/${reply.toString('latin1', 16)}`;
}
