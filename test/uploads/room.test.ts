import { statSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { filesOn } from '../helpers/disk.js';
import { cannotMount, makeImage, mountImage, scratch } from '../helpers/mounts.js';
import { BOUNDARY, MULTIPART, multipart } from '../helpers/multipart.js';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { begin, send, tus } from '../helpers/tus.js';

const skip = cannotMount();
const MIB = 2 ** 20;
const HEAD = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n`;

/** An upload whose body the test sends step by step. */
class Upload {
  /** The status of its answer; 0 if the connection broke without one. */
  readonly status: Promise<number>;
  private readonly request: ClientRequest;

  constructor(node: TestNode, headers: Record<string, string>) {
    this.request = request(`${node.origin}/upload`, {
      method: 'POST',
      headers: node.authorized(headers),
      agent: false,
    });
    this.status = new Promise((resolve) => {
      this.request.on('response', (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      this.request.on('error', () => resolve(0));
    });
    this.request.flushHeaders();
  }

  write(bytes: Buffer | string): void {
    this.request.write(bytes);
  }

  end(bytes: Buffer | string = ''): Promise<number> {
    this.request.end(bytes);
    return this.status;
  }

  /** Sends these bytes with backpressure until an answer arrives; resolves with its status. */
  async pour(bytes: Buffer): Promise<number> {
    let isAnswered = false;
    void this.status.then(() => {
      isAnswered = true;
    });
    for (let offset = 0; offset < bytes.length && !isAnswered; offset += MIB) {
      const drained = this.request.write(bytes.subarray(offset, offset + MIB));
      if (!drained) await Promise.race([new Promise((resolve) => this.request.once('drain', resolve)), this.status]);
    }
    return this.end();
  }

  /** Closes the connection. */
  destroy(): void {
    this.request.destroy();
  }
}

/** A client that uploads and deletes small files all the time, and polls /readyz. */
class Bystander {
  readonly statuses = new Map<string, number>();
  private stopping = false;
  private running: Promise<unknown> | undefined;

  constructor(private readonly node: TestNode) {}

  start(): void {
    this.running = Promise.all([this.upload(20_000), this.upload(100), this.ask()]);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  /** Resolves when it has uploaded five more files. */
  async more(): Promise<void> {
    const before = this.statuses.get('POST 201') ?? 0;
    await this.node.until(() => (this.statuses.get('POST 201') ?? 0) > before + 4, 'taking small uploads');
  }

  private count(what: string, status: number): void {
    this.statuses.set(`${what} ${status}`, (this.statuses.get(`${what} ${status}`) ?? 0) + 1);
  }

  private async upload(size: number): Promise<void> {
    for (let number = 0; !this.stopping; number++) {
      const answer = await this.node.post(Buffer.alloc(size, `${number}`));
      this.count('POST', answer.status);
      if (answer.status !== 201) continue;
      this.count('DELETE', (await this.node.delete(uploadedOf(answer)[0]?.id ?? '')).status);
    }
  }

  private async ask(): Promise<void> {
    while (!this.stopping) {
      this.count('readyz', (await this.node.get('/readyz')).status);
    }
  }
}

/** The reserved and the available bytes in the node's metrics. */
async function room(node: TestNode): Promise<{ reserved: number; available: number }> {
  const metrics = (await node.get('/metrics')).body.toString();
  const value = (name: string) =>
    Number(new RegExp(`^fidfs_store_path_${name}_bytes\\{.*\\} (\\S+)$`, 'm').exec(metrics)?.[1]);
  return { reserved: value('reserved'), available: value('available') };
}

async function reserved(node: TestNode, bytes: number): Promise<void> {
  await node.until(async () => (await room(node)).reserved >= bytes, 'keeping room');
}

/** Deletes the files of 1 MiB and more; those of a bystander are smaller, and it deletes them itself. */
async function deleteLarge(node: TestNode): Promise<void> {
  for (const path of filesOn(node.storePath)) {
    const [, id] = /data\/(..\/..\/.+)$/.exec(path) ?? [];
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (id && size >= MIB) await node.delete(`group1/M00/${id}`);
  }
}

function smallDisk(t: Test): string {
  const directory = scratch(t);
  makeImage(join(directory, 'image'), 48);
  return mountImage(t, join(directory, 'image'), join(directory, 'disk'));
}

// Seen to fail without `reserved` in Disk.space (excess uploads filled the disk to the last byte, small uploads got 507 and
// the node was not ready), without LEFT_TO_OTHERS (chunked uploads), without the release in IncomingFile.discard (25 MiB stay
// reserved, uploads get 507), and without reserveWhole in receiveMultipart.
t.test('what does not fit is refused before it hurts anybody', { skip }, async (t) => {
  const disk = smallDisk(t);
  const node = await TestNode.start(t, { env: { FIDFS_STORE_PATHS: join(disk, 'store'), FIDFS_RESERVE: '0' } });
  const large = Buffer.alloc(60 * MIB, 'large');
  const file = large.subarray(0, 25 * MIB);
  const empty = await room(node);
  const bystander = new Bystander(node);
  bystander.start();
  const length = (bytes: number) => ({ 'content-length': String(bytes) });

  await t.test('a length that does not fit is refused before a byte has come', async (t) => {
    t.equal(await new Upload(node, length(large.length)).status, 507, 'raw');
    t.equal(await new Upload(node, { ...MULTIPART, ...length(large.length) }).status, 507, 'multipart');
    const created = await tus(node, 'POST', '/tus/', { 'upload-length': String(large.length) });
    t.equal(created.status, 507, 'in pieces');
    await bystander.more();
  });

  await t.test('one without a length is refused while there is room for others', async (t) => {
    const multiparts = { ...MULTIPART };
    t.equal(await new Upload(node, {}).pour(large), 507, 'raw');
    const parts = multipart({ fileName: 'a', content: large });
    t.equal(await new Upload(node, multiparts).pour(parts), 507, 'multipart');
    const both = [new Upload(node, {}).pour(large), new Upload(node, multiparts).pour(parts)];
    t.notOk((await Promise.all(both)).includes(201), 'two at once');
    await bystander.more();
    await node.until(async () => (await room(node)).available > empty.available - MIB, 'rid of them');
    const nearlyAll = large.subarray(0, (await room(node)).available - 2 * MIB);
    t.equal(await new Upload(node, {}).pour(nearlyAll), 507, 'one that would leave hardly anything');
    await bystander.more();
    t.equal(await new Upload(node, {}).pour(large.subarray(0, 20 * MIB)), 201, 'and what fits is taken');
  });
  await deleteLarge(node);

  await t.test('room is kept from the first byte to the last', async (t) => {
    const first = new Upload(node, { ...MULTIPART, ...length(HEAD.length + file.length + BOUNDARY.length + 8) });
    first.write(HEAD);
    await reserved(node, file.length);
    t.equal(await new Upload(node, length(file.length)).status, 507, 'another such is refused at once');
    first.write(file.subarray(0, MIB));
    await bystander.more();
    t.equal((await room(node)).available < 15 * MIB, true);
    first.write(file.subarray(MIB));
    t.equal(await first.end(`\r\n--${BOUNDARY}--\r\n`), 201);
    t.equal((await room(node)).reserved < MIB, true, 'what is stored has no more to come');
    await bystander.more();
  });
  await deleteLarge(node);

  await t.test('and given back when the client goes away', async (t) => {
    for (const headers of [length(file.length), { ...MULTIPART, ...length(file.length) }]) {
      const upload = new Upload(node, headers);
      upload.write('content-type' in headers ? HEAD : '');
      upload.write(file.subarray(0, 3 * MIB));
      await reserved(node, 15 * MIB);
      upload.destroy();
      await node.until(async () => (await room(node)).reserved < MIB, 'rid of it');
    }
    const upload = await begin(node, file.length);
    await send(node, upload, 0, file.subarray(0, MIB));
    t.equal((await tus(node, 'POST', '/tus/', { 'upload-length': String(file.length) })).status, 507);
    await bystander.more();
    t.equal((await tus(node, 'DELETE', upload)).status, 204);
    const other = await begin(node, file.length);
    const { headers } = await send(node, other, 0, file);
    t.equal((await node.delete(String(headers['fidfs-id']))).status, 204);
    t.equal(await new Upload(node, length(file.length)).end(file), 201);
  });

  await bystander.stop();
  const wrong = [...bystander.statuses.keys()].filter((one) => !['POST 201', 'DELETE 204', 'readyz 200'].includes(one));
  t.strictSame(wrong, [], 'nobody else has noticed anything', { statuses: [...bystander.statuses] });
  await node.assertClean(t);
});
