import { idOf, WireClient } from './fastdfs-client.js';
import { WireClients } from './fastdfs-load.js';
import { digest, type Promised } from './load.js';
import type { Random } from './random.js';

/** An appender that has grown beyond this is deleted or made a normal file, in bytes. */
const LARGEST = 400_000;

/** An appender with its last acknowledged content. */
interface Appender {
  id: string;
  content: Buffer;
}

/** What a client asks for, and the content of the appender afterwards; undefined if it exists no more. */
interface Change {
  next: Buffer | undefined;
  ask(): Promise<number>;
}

/** Clients that store appenders and change them by FastDFS's protocol. Each client changes one appender at a time. */
export class AppenderLoad extends WireClients {
  /** The appenders that can be changed, by client. */
  private readonly current = new Map<number, Appender>();
  /** Contents that each appender may have; more than one if a change was not answered with status 0. */
  private readonly contents = new Map<string, (Buffer | undefined)[]>();
  /** The normal files that appenders became. */
  private readonly normal = new Map<string, Buffer>();
  private readonly deleted = new Set<string>();
  /** Number of changes that were answered with status 0. */
  changes = 0;

  constructor(port: number, random: Random, clients = 4) {
    super(port, random, clients);
  }

  promised(): Promised {
    const digests = (contents: (Buffer | undefined)[]) => contents.map((content) => content && digest(content));
    return {
      stored: new Map([...this.normal].map(([id, bytes]) => [id, { size: bytes.length, sha256: digest(bytes) }])),
      deleted: new Set(this.deleted),
      appenders: new Map([...this.contents].map(([id, contents]) => [id, digests(contents)])),
    };
  }

  /** Deletes the normal files; the clients delete their appenders themselves. */
  async forgetMost(): Promise<void> {
    const client = await WireClient.connect(this.port);
    for (const id of this.normal.keys()) {
      this.normal.delete(id);
      if ((await client.delete(id)).status === 0) this.deleted.add(id);
    }
    client.close();
  }

  protected async act(client: WireClient, number: number): Promise<number> {
    const appender = this.current.get(number);
    if (!appender) return this.create(client, number);
    const { id, content } = appender;
    const { next, ask } = this.changeOf(client, appender);
    // After an error the content is one of the two, so it is not changed further.
    this.current.delete(number);
    this.contents.set(id, [content, next]);
    const status = await ask();
    if (status !== 0) return status;
    this.changes++;
    this.contents.delete(id);
    if (next === undefined) {
      this.deleted.add(id);
      return 0;
    }
    this.contents.set(id, [next]);
    this.current.set(number, { id, content: next });
    return 0;
  }

  private async create(client: WireClient, number: number): Promise<number> {
    const content = this.content();
    const { status, id } = await client.tryUpload(content, 'log', { command: 23 });
    if (status !== 0) return status;
    this.contents.set(id, [content]);
    this.current.set(number, { id, content });
    return 0;
  }

  private changeOf(client: WireClient, { id, content }: Appender): Change {
    const { below } = this.random;
    const kind = below(100);
    if (content.length > LARGEST || kind < 5) {
      if (kind % 2 === 0) return { next: undefined, ask: async () => (await client.delete(id)).status };
      return { next: undefined, ask: () => this.rename(client, id, content) };
    }
    if (kind < 15) {
      const size = below(content.length + 5000);
      const next = Buffer.concat([content.subarray(0, size), Buffer.alloc(Math.max(0, size - content.length))]);
      return { next, ask: async () => (await client.truncate(id, size)).status };
    }
    const piece = this.content();
    if (kind < 35) {
      const offset = below(content.length + 1);
      const next = Buffer.concat([content.subarray(0, offset), piece, content.subarray(offset + piece.length)]);
      return { next, ask: async () => (await client.modify(id, offset, piece)).status };
    }
    return { next: Buffer.concat([content, piece]), ask: async () => (await client.append(id, piece)).status };
  }

  private async rename(client: WireClient, id: string, content: Buffer): Promise<number> {
    const { status, body } = await client.regenerate(id);
    if (status === 0) this.normal.set(idOf(body), content);
    return status;
  }
}
