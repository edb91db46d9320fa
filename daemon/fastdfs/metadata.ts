import { waitForChange } from '../operations/uploads.js';
import { formatMetadata, METADATA_LIMIT, mergeMetadata, parseMetadata } from '../store/metadata.js';
import { Fields, invalid, reply, replyHeader, Status, StorageCommand, Width, WireError } from './codec.js';
import type { Handler, Reply, Request } from './connection.js';
import { forward } from './forward.js';
import { LONGEST_NAME_BODY, type Receiving, type StorageParts } from './receiving.js';

/** Length of the fields before the name: two lengths, the flag and the group. */
const FIXED_LENGTH = 33;

/** The commands of metadata. */
export class MetadataCommands {
  readonly handlers: readonly [number, Handler][];

  constructor(
    private readonly node: StorageParts,
    private readonly receiving: Receiving,
  ) {
    this.handlers = [
      [StorageCommand.setMetadata, (request) => this.set(request)],
      [StorageCommand.getMetadata, (request) => this.get(request)],
    ];
  }

  /** 13: length of the name 8, length of the metadata 8, `O` (replace) or `M` (merge), group 16, name, metadata. */
  private async set({ command, body }: Request): Promise<Reply> {
    const whole = await body.rest(LONGEST_NAME_BODY + METADATA_LIMIT);
    const fields = new Fields(whole);
    const nameLength = fields.number('the length of the name');
    const length = fields.number('the length of the metadata');
    const flag = String.fromCharCode(fields.byte());
    const id = this.receiving.known(fields.padded(Width.group), fields.exact(nameLength));
    const given = parseMetadata(fields.rest());
    if (length !== whole.length - FIXED_LENGTH - nameLength) throw invalid('the lengths do not match the body');
    if (flag !== 'O' && flag !== 'M') throw invalid(`the flag is neither O nor M`);
    const holder = await this.receiving.holderOf(id);
    if (holder) return forward(holder, command, whole, body);
    const changed = await this.node.store.updateMetadata(id, (current) =>
      formatMetadata(flag === 'O' || !current ? given : mergeMetadata(parseMetadata(current), given)),
    );
    await waitForChange(changed, this.node);
    return replyHeader(0, Status.ok);
  }

  /** 15: group 16, name → the metadata. */
  private async get({ command, body }: Request): Promise<Reply> {
    const whole = await body.rest(LONGEST_NAME_BODY);
    const id = this.receiving.nameAfterGroup(new Fields(whole));
    const holder = await this.receiving.holderOf(id);
    if (holder) return forward(holder, command, whole, body);
    const metadata = this.node.store.metadata(id);
    if (!metadata) throw new WireError(Status.notFound, 'the file has no metadata');
    return reply(metadata);
  }
}
