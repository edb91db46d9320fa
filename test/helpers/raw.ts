import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import type { TestNode } from './node.js';

/** An answer received over a raw connection. */
export interface RawAnswer {
  /** 0 if the connection was closed without an answer. */
  status: number;
  headers: Record<string, string>;
  body: string;
  /** All bytes received, including interim responses. */
  text: string;
}

/** A TCP connection to nginx that sends exactly the given bytes, for requests that no HTTP library sends. */
export class RawConnection {
  private received = '';
  private ended = false;
  private changed: () => void = () => {};

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1');
      this.changed();
    });
    const end = () => {
      this.ended = true;
      this.changed();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end); // a reset counts as the end
  }

  /** Opens a connection; it is closed after the test at the latest. */
  static open(t: Test, node: TestNode): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(node.port, '127.0.0.1', () => {
        socket.removeListener('error', reject);
        resolve(new RawConnection(socket));
      });
      socket.once('error', reject);
      t.teardown(() => socket.destroy());
    });
  }

  /** Whether the other side has closed it. */
  get closed(): boolean {
    return this.ended;
  }

  write(...pieces: (string | Buffer)[]): void {
    for (const piece of pieces) this.socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
  }

  /** Closes the connection without waiting for an answer. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Resolves with the text received so far once the condition holds. */
  until(condition: (text: string, ended: boolean) => boolean): Promise<string> {
    return new Promise((resolve) => {
      this.changed = () => {
        if (condition(this.received, this.ended)) resolve(this.received);
      };
      this.changed();
    });
  }

  /** Resolves with the final answer when it is complete or the connection has ended. An answer to HEAD has no body. */
  async answer(hasBody = true): Promise<RawAnswer> {
    const text = await this.until((received, ended) => ended || isWhole(received, hasBody));
    return parse(text);
  }
}

/** Sends these bytes on a new connection and returns the answer. */
export async function raw(t: Test, node: TestNode, ...pieces: (string | Buffer)[]): Promise<RawAnswer> {
  const connection = await RawConnection.open(t, node);
  connection.write(...pieces);
  const answer = await connection.answer(!String(pieces[0]).startsWith('HEAD '));
  connection.destroy();
  return answer;
}

/** The head of a request, with Host and key unless `headers` overrides them. */
export function head(node: TestNode, line: string, headers: Record<string, string | number> = {}): string {
  const all = { Host: `127.0.0.1:${node.port}`, Authorization: `Bearer ${node.key}`, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

/** One chunk of a chunked body; an empty one ends the body. */
export function chunk(bytes: Buffer | string): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')]);
}

/** Summarises an answer: `201`, or `400 bad-extension`; for an error without a problem document it says so. */
export function outcome(answer: { status: number; body: string | Buffer }): string {
  const { status } = answer;
  if (status === 0) return 'closed';
  if (status < 400) return String(status);
  try {
    const problem = JSON.parse(answer.body.toString()) as {
      type: string;
      status: number;
      title: string;
      detail: string;
    };
    const whole = problem.status === status && problem.title !== '' && problem.detail !== '';
    if (whole) return `${status} ${problem.type.replace('urn:fidfs:problem:', '')}`;
  } catch {
    // not JSON: no problem document
  }
  return `${status} without a problem document`;
}

function withoutInterim(text: string): string {
  return text.replace(/^(?:HTTP\/1\.1 1\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n)+/, '');
}

function isWhole(received: string, hasBody: boolean): boolean {
  const text = withoutInterim(received);
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  if (!hasBody || / (?:204|304) /.test(text.slice(0, 14))) return true;
  const length = /^content-length: (\d+)/im.exec(text.slice(0, end))?.[1];
  if (length !== undefined) return text.length >= end + 4 + Number(length);
  return /^transfer-encoding: chunked/im.test(text.slice(0, end)) ? text.endsWith('\r\n0\r\n\r\n') : false;
}

function parse(received: string): RawAnswer {
  const text = withoutInterim(received);
  const [top = '', ...rest] = text.split('\r\n\r\n');
  const [first = '', ...lines] = top.split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(first.split(' ')[1] ?? 0), headers, body: rest.join('\r\n\r\n'), text: received };
}
