import type { FileId } from '../../file-id/file-id.js';
import { changerOf } from '../operations/changer.js';
import { Problem } from '../operations/problems.js';
import { assertUploadsAreTaken, waitForChange, waitForCopies } from '../operations/uploads.js';
import type { AppenderChange } from '../store/appenders.js';
import type { ReceivedFile } from '../store/incoming-file.js';
import type { StoredFile } from '../store/records.js';
import type { Addresses } from './addresses.js';
import { Fields, invalid, reply, replyHeader, Status, StorageCommand, text, Width } from './codec.js';
import type { Handler, Reply, Request } from './connection.js';
import { forward } from './forward.js';
import { nameOf } from './names.js';
import type { Receiving, StorageParts } from './receiving.js';

/** A file that a command changes. */
type Named = FileId & { text: string };

/**
 * The commands that change appenders. One node of the group changes an appender, so that there is one order: its source, or the node
 * with the least server id if no node of the group is the source. Other nodes forward the command.
 */
export class AppenderCommands {
  readonly handlers: readonly [number, Handler][];

  constructor(
    private readonly node: StorageParts,
    private readonly addresses: Addresses,
    private readonly receiving: Receiving,
  ) {
    this.handlers = [
      [StorageCommand.append, (request) => this.append(request)],
      [StorageCommand.modify, (request) => this.modify(request)],
      [StorageCommand.truncate, (request) => this.truncate(request)],
      [StorageCommand.renameAppender, (request) => this.rename(request)],
    ];
  }

  /** 24: length of the name 8, size 8, name, data. */
  private async append(request: Request): Promise<Reply> {
    const fixed = await request.body.read(16);
    const fields = new Fields(fixed);
    const nameLength = fields.number('the length of the name');
    const size = fields.number('the size');
    return this.change(request, fixed, nameLength, size, (id, piece) =>
      this.node.store.appenders.append(id, piece, this.parameters),
    );
  }

  /** 34: length of the name 8, offset 8, size 8, name, data. */
  private async modify(request: Request): Promise<Reply> {
    const fixed = await request.body.read(24);
    const fields = new Fields(fixed);
    const nameLength = fields.number('the length of the name');
    const offset = fields.number('the offset');
    const size = fields.number('the size');
    return this.change(request, fixed, nameLength, size, (id, piece) =>
      this.node.store.appenders.modify(id, offset, piece, this.parameters),
    );
  }

  /** 36: length of the name 8, new size 8, name. */
  private async truncate(request: Request): Promise<Reply> {
    const fixed = await request.body.read(16);
    const fields = new Fields(fixed);
    const nameLength = fields.number('the length of the name');
    const size = fields.number('the new size');
    const name = await this.receiving.nameOfLength(request.body, nameLength);
    if (request.body.left > 0) throw invalid('the body is longer than its fields');
    const elsewhere = this.changer(name.id);
    if (elsewhere)
      return forward(elsewhere, request.command, Buffer.concat([fixed, name.bytes]), request.body, this.node);
    await this.assertAppender(name.id);
    await this.node.store.appenders.truncate(name.id, size, this.parameters);
    return replyHeader(0, Status.ok);
  }

  /** 38: name → group 16, new name. */
  private async rename(request: Request): Promise<Reply> {
    const { id, bytes } = await this.receiving.nameOfLength(request.body, request.body.left);
    const elsewhere = this.changer(id);
    if (elsewhere) return forward(elsewhere, request.command, bytes, request.body, this.node);
    // A client that lost the reply repeats the command.
    if (!this.node.store.appenders.renamed(id)) await this.assertAppender(id);
    const stored = await this.node.store.appenders.toNormal(id, (file) => waitForCopies([file], this.node));
    return reply(text(this.node.settings.group, Width.group), Buffer.from(nameOf(stored.id), 'latin1'));
  }

  private async change(
    request: Request,
    fixed: Buffer,
    nameLength: number,
    size: number,
    act: (id: Named, piece: ReceivedFile) => Promise<StoredFile>,
  ): Promise<Reply> {
    const { body, command } = request;
    const { id, bytes } = await this.receiving.nameOfLength(request.body, nameLength);
    const elsewhere = this.changer(id);
    if (elsewhere) return forward(elsewhere, command, Buffer.concat([fixed, bytes]), body, this.node);
    await this.assertAppender(id);
    const piece = await this.receiving.receive(body, size, '', id.storePath);
    try {
      await act(id, piece);
    } finally {
      piece.release();
    }
    return replyHeader(0, Status.ok);
  }

  /** The node that changes an appender, if it is not this one. Throws a Problem (`unavailable`) if it cannot be asked. */
  private changer({ source, kind }: FileId): ReturnType<Addresses['of']> {
    const { settings, cluster } = this.node;
    // Other kinds are refused here.
    if (kind !== 'appender') return undefined;
    const changer = changerOf(source, settings);
    if (changer === settings.serverId) return undefined;
    const peer = cluster.peer(changer);
    const address = peer?.isUp ? this.addresses.of(peer) : undefined;
    if (address) return address;
    throw new Problem('unavailable', `Node ${changer}, which changes this file, cannot be reached; try again.`);
  }

  private async assertAppender(id: Named): Promise<void> {
    assertUploadsAreTaken(this.node);
    // Another node may have a later version, if this node was put back to an older copy.
    const { lag } = this.node.replication.readiness;
    if (lag !== undefined) throw new Problem('unavailable', `This node is not up to date with its peers yet: ${lag}.`);
    if (id.kind === 'appender' && this.node.store.recordOf(id)) return;
    const holder = await this.receiving.holderOf(id);
    if (id.kind !== 'appender') throw invalid('the file is no appender');
    const reason = holder
      ? 'is being copied to this node'
      : 'is a file of FastDFS that was not adopted yet: run fidfs adopt';
    throw new Problem('unavailable', `${id.text} ${reason}.`);
  }

  private get parameters(): AppenderChange {
    const { maxFileSize: limit } = this.node.settings;
    return { limit, settle: (stored) => waitForChange(stored, this.node) };
  }
}
