import { Problem } from '../operations/problems.js';
import { otherGroupFor } from '../operations/uploads.js';
import { uploadsUnavailable } from '../status.js';
import type { Addresses, StorageAddress } from './addresses.js';
import { addressWidths, Fields, number64, reply, Status, TrackerCommand, text, Width, WireError } from './codec.js';
import type { Handler, Reply, Request } from './connection.js';
import { parseName } from './names.js';
import { LONGEST_BODY, Records, type TrackerParts } from './records.js';
import { Statistics } from './statistics.js';

/** The commands of a tracker: which storage server takes an upload, or has a file. */
export class Tracker {
  readonly handlers: ReadonlyMap<number, Handler>;

  constructor(
    private readonly node: TrackerParts,
    private readonly addresses: Addresses,
  ) {
    const records = new Records(node, addresses);
    this.handlers = new Map<number, Handler>([
      [TrackerCommand.queryStore, (request) => this.queryStore(request, 'one')],
      [TrackerCommand.queryStoreOfGroup, (request) => this.queryStore(request, 'one')],
      [TrackerCommand.queryStoreAll, (request) => this.queryStore(request, 'all')],
      [TrackerCommand.queryStoreAllOfGroup, (request) => this.queryStore(request, 'all')],
      [TrackerCommand.queryFetch, (request) => this.queryFile(request, 'fetch')],
      [TrackerCommand.queryFetchAll, (request) => this.queryFile(request, 'fetch')],
      [TrackerCommand.queryUpdate, (request) => this.queryFile(request, 'update')],
      ...records.handlers,
      ...new Statistics(records).handlers,
    ]);
  }

  /** 101, 106: empty; 104, 107: group 16 → group 16, addresses, store path index 1. */
  private async queryStore({ command, body, localAddress }: Request, which: 'one' | 'all'): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const isOfGroup = command === TrackerCommand.queryStoreOfGroup || command === TrackerCommand.queryStoreAllOfGroup;
    const wanted = isOfGroup ? fields.padded(Width.group) : undefined;
    fields.end();
    const servers = await this.takers(wanted, localAddress);
    const [first] = servers;
    if (!first) throw new WireError(Status.busy, 'no node that serves storage commands takes uploads now');
    const named = (which === 'one' ? servers.slice(0, 1) : servers).map((server) => this.address(server));
    // The index of the store path: the storage server chooses it itself.
    return reply(text(first.group, Width.group), ...named, Buffer.from([0]));
  }

  /** The nodes of one group that take uploads now, the first to be used first. Rejects with a WireError or a Problem. */
  private async takers(wanted: string | undefined, localAddress: string): Promise<StorageAddress[]> {
    const { cluster, settings, store, index } = this.node;
    if (wanted !== undefined && !cluster.groups.includes(wanted))
      throw new WireError(Status.notFound, `there is no group ${wanted}`);
    const own = this.addresses.own(localAddress);
    const other = await otherGroupFor(
      this.node,
      wanted === undefined ? undefined : [wanted],
      (peer) => this.addresses.of(peer) !== undefined,
    );
    const group = other?.settings.group ?? settings.group;
    const peers = cluster
      .peersOf(group)
      .filter(({ isUp, hello }) => isUp && hello?.trouble === null)
      .map((peer) => this.addresses.of(peer))
      .filter((address) => address !== undefined)
      .sort(() => Math.random() - 0.5);
    if (group !== settings.group) return peers;
    const reason = uploadsUnavailable(this.node);
    if (own && reason === undefined) return [own, ...peers];
    if (peers.length === 0 && index.damage === undefined && isFull(store))
      throw new WireError(Status.full, reason ?? 'no storage commands are served here');
    return peers;
  }

  /** 102, 103, 105: group 16, name → group 16, address. */
  private async queryFile({ body, localAddress }: Request, purpose: 'fetch' | 'update'): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const group = fields.padded(Width.group);
    const { cluster, settings, store } = this.node;
    if (!cluster.groups.includes(group)) throw new Problem('not-found', `There is no group ${group}.`);
    const id = parseName(group, fields.rest().toString('latin1'));
    const own = group === settings.group ? this.addresses.own(localAddress) : undefined;
    const peers = cluster.peersOf(group).filter(({ isUp }) => isUp);
    const others = peers.map((peer) => this.addresses.of(peer)).filter((address) => address !== undefined);
    const isHere = own !== undefined && purpose === 'fetch' && store.holds(id) !== undefined;
    // A file is read from this node if it is here, and changed at its source while that is up. Any node serves both.
    const rank = ({ id: server }: StorageAddress) => {
      if (isHere && server === own.id) return 0;
      if ('serverId' in id.source && id.source.serverId === server) return 1;
      return server === own?.id ? 2 : 3;
    };
    const [chosen] = [...(own ? [own] : []), ...others].sort((one, other) => rank(one) - rank(other));
    if (!chosen) throw new WireError(Status.busy, `no node of the group ${group} serves storage commands now`);
    return reply(text(group, Width.group), this.address(chosen));
  }

  private address({ ip, port }: StorageAddress): Buffer {
    const { query } = addressWidths(this.node.settings.fastdfsAddressWidth);
    return Buffer.concat([text(ip, query), number64(port)]);
  }
}

function isFull({ paths }: TrackerParts['store']): boolean {
  return paths.some((path) => path.isFull);
}
