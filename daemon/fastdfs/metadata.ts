import { readMetadata, setMetadata } from '../operations/metadata.js';
import { METADATA_LIMIT, parseMetadata } from '../store/metadata.js';
import { Fields, invalid, reply, replyHeader, Status, StorageCommand, Width, WireError } from './codec.js';
import type { Handler, Reply, Request } from './connection.js';
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
  private async set({ body }: Request): Promise<Reply> {
    const whole = await body.rest(LONGEST_NAME_BODY + METADATA_LIMIT);
    const fields = new Fields(whole);
    const nameLength = fields.number('the length of the name');
    const length = fields.number('the length of the metadata');
    const flag = String.fromCharCode(fields.byte());
    const id = this.receiving.known(fields.padded(Width.group), fields.exact(nameLength));
    const records = parseMetadata(fields.rest());
    if (length !== whole.length - FIXED_LENGTH - nameLength) throw invalid('the lengths do not match the body');
    if (flag !== 'O' && flag !== 'M') throw invalid('the flag is neither O nor M');
    const { copies, wanted } = await setMetadata(id, id.text, { records, isMerge: flag === 'M' }, this.node);
    if (copies < wanted)
      throw new WireError(Status.busy, `the metadata is durable on ${copies} of ${wanted} nodes so far`);
    return replyHeader(0, Status.ok);
  }

  /** 15: group 16, name → the metadata. */
  private async get({ body }: Request): Promise<Reply> {
    const id = this.receiving.nameAfterGroup(new Fields(await body.rest(LONGEST_NAME_BODY)));
    const metadata = await readMetadata(id, id.text, this.node);
    if (metadata.length === 0) throw new WireError(Status.notFound, 'the file has no metadata');
    return reply(metadata);
  }
}
