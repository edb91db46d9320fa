import { crc32 } from 'node:zlib';
import type { FileId } from '../../file-id/file-id.js';
import { deleteAnywhere } from '../operations/deletions.js';
import type { Observer } from '../operations/observer.js';
import { assertSlavesAreTaken } from '../operations/slaves.js';
import { assertUploadsAreTaken, waitForCopies } from '../operations/uploads.js';
import type { Addresses } from './addresses.js';
import { AppenderCommands } from './appenders.js';
import {
  addressWidths,
  Fields,
  InfoFlag,
  invalid,
  number64,
  reply,
  replyHeader,
  Status,
  StorageCommand,
  text,
  Width,
  WireError,
} from './codec.js';
import type { Handler, Reply, Request } from './connection.js';
import { forward } from './forward.js';
import { MetadataCommands } from './metadata.js';
import { nameOf, parseExtension } from './names.js';
import type { OpenFile } from './open-file.js';
import { LONGEST_NAME_BODY, Receiving, type StorageParts } from './receiving.js';

/** The store path index by which a client leaves the choice to the server. */
const ANY_STORE_PATH = 255;

/** The commands of a storage server, on the same store as HTTP. */
export class Storage {
  readonly handlers: ReadonlyMap<number, Handler>;
  private readonly receiving: Receiving;

  constructor(
    private readonly node: StorageParts,
    private readonly addresses: Addresses,
    private readonly observer: Observer,
  ) {
    this.receiving = new Receiving(node, addresses);
    this.handlers = new Map<number, Handler>([
      [StorageCommand.upload, (request) => this.upload(request, false)],
      [StorageCommand.uploadAppender, (request) => this.upload(request, true)],
      [StorageCommand.uploadSlave, (request) => this.uploadSlave(request)],
      [StorageCommand.download, (request) => this.download(request)],
      [StorageCommand.delete, (request) => this.delete(request)],
      [StorageCommand.fileInfo, (request) => this.info(request)],
      ...new MetadataCommands(node, this.receiving).handlers,
      ...new AppenderCommands(node, addresses, this.receiving).handlers,
    ]);
  }

  /** 11, 23: store path 1, size 8, extension 6, data → group 16, name. */
  private async upload({ body }: Request, isAppender: boolean): Promise<Reply> {
    const fields = new Fields(await body.read(15));
    const storePath = fields.byte();
    const size = fields.number('the size');
    const extension = parseExtension(fields.padded(Width.extension));
    // The store chooses the path itself, as for HTTP: clients only repeat the index that a tracker named.
    if (storePath !== ANY_STORE_PATH && storePath >= this.node.settings.storePaths.length)
      throw invalid(`there is no store path ${storePath}`);
    return this.observer.upload({ protocol: 'fastdfs' }, async () => {
      assertUploadsAreTaken(this.node);
      const received = await this.receiving.receive(body, size, extension);
      if (isAppender) received.isAppender = true;
      const files = await this.node.store.add([received]).finally(() => received.release());
      await waitForCopies(files, this.node);
      return { files, answer: this.named(files[0]?.id ?? '') };
    });
  }

  /** 21: length of the master's name 8, size 8, prefix 16, extension 6, name of the master, data → group 16, name. */
  private async uploadSlave({ command, body }: Request): Promise<Reply> {
    const fixed = await body.read(38);
    const fields = new Fields(fixed);
    const nameLength = fields.number('the length of the name');
    const size = fields.number('the size');
    const prefix = fields.padded(Width.prefix);
    const extension = fields.padded(Width.extension);
    const { id: master, bytes } = await this.receiving.nameOfLength(body, nameLength);
    const taker = await this.receiving.slaveTakerOf(master);
    if (taker) return forward(taker, command, Buffer.concat([fixed, bytes]), body, this.node);
    return this.observer.upload({ protocol: 'fastdfs' }, async () => {
      assertSlavesAreTaken(this.node);
      const received = await this.receiving.receive(body, size, extension, master.storePath);
      const slave = await this.node.store
        .addSlave(master, prefix, extension, received)
        .finally(() => received.release());
      await waitForCopies([slave], this.node);
      return { files: [slave], answer: this.named(slave.id) };
    });
  }

  /** 14: offset 8, count 8 (0: to the end), group 16, name → the bytes. */
  private async download({ body }: Request): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_NAME_BODY));
    const offset = fields.number('the offset');
    const count = fields.count('the count');
    const file = await this.receiving.open(this.receiving.nameAfterGroup(fields));
    const left = file.size - offset;
    if (left <= 0) {
      await file.close();
      throw invalid(`the offset ${offset} is not before the end of the file`);
    }
    const length = count === 0 ? left : Math.min(count, left);
    return { length, chunks: file.read(offset, length) };
  }

  /** 12: group 16, name. */
  private async delete({ body }: Request): Promise<Reply> {
    const id = this.receiving.nameAfterGroup(new Fields(await body.rest(LONGEST_NAME_BODY)));
    const deleted = await this.observer.deletion({ protocol: 'fastdfs' }, id.text, () =>
      deleteAnywhere({ id, text: id.text, conditions: {}, keepsSlaves: true }, this.node),
    );
    if (deleted.copies < deleted.wanted)
      throw new WireError(
        Status.busy,
        `the deletion is durable on ${deleted.copies} of ${deleted.wanted} nodes so far`,
      );
    return replyHeader(0, Status.ok);
  }

  /** 22: group 16, name → size 8, creation time 8, CRC32 8 (sign-extended), address of the source 16. */
  private async info({ body, flags, localAddress }: Request): Promise<Reply> {
    const id = this.receiving.nameAfterGroup(new Fields(await body.rest(LONGEST_NAME_BODY)));
    const file = await this.receiving.open(id);
    try {
      const crc = await crcOf(id, file, (flags & InfoFlag.withoutCrc32) === 0);
      const { record } = addressWidths(this.node.settings.fastdfsAddressWidth);
      const source = this.addresses.ofSource(id.source, localAddress);
      return reply(number64(file.size), number64(id.created), number64(crc | 0), text(source, record));
    } finally {
      await file.close();
    }
  }

  /** A reply with the group and the name of a file. */
  private named(id: string): Buffer {
    return reply(text(this.node.settings.group, Width.group), Buffer.from(nameOf(id), 'latin1'));
  }
}

/** The CRC32 of a file: from its ID, otherwise of its bytes, or 0 if `reads` is false. */
async function crcOf({ crc32: known, kind }: FileId, file: OpenFile, reads: boolean): Promise<number> {
  if (known !== null && kind === 'normal') return known;
  if (!reads) return 0;
  let crc = 0;
  if (file.size > 0) for await (const chunk of file.read(0, file.size)) crc = crc32(chunk, crc);
  return crc;
}
