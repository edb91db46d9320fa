import type { Hello } from '../cluster/hello.js';
import { describeNode, type Node, uploadsUnavailable } from '../status.js';
import { version } from '../version.js';
import type { Addresses } from './addresses.js';
import {
  addressWidths,
  Fields,
  invalid,
  number64,
  reply,
  Status,
  TrackerCommand,
  text,
  Width,
  WireError,
} from './codec.js';
import type { Handler, Reply, Request } from './connection.js';

/** Where FastDFS counts directories: 256 in each of 256. */
const SUBDIRECTORIES = 256;
export const ACTIVE = 7;
const OFFLINE = 5;
/** Flags of reading (4) and writing (2), as in access(2). */
const READ_AND_WRITE = 6;
const READ_ONLY = 4;
const MEBIBYTE = 2 ** 20;
/** The longest body of a request to the tracker. */
export const LONGEST_BODY = 512;

/** What the tracker commands need of the node. */
export type TrackerParts = Pick<
  Node,
  'settings' | 'keys' | 'store' | 'index' | 'cluster' | 'copyPolicy' | 'replication' | 'alarms' | 'requests'
>;

/** A node of a group, for the records. */
export interface Server {
  id: number;
  ip: string;
  port: number;
  isUp: boolean;
  takesUploads: boolean;
  hello: Hello | undefined;
}

/** A node as a tracker. */
export interface TrackerState {
  /** `address:port`. */
  host: string;
  /** Whether it is the node that answers. */
  isOwn: boolean;
  isUp: boolean;
  version: string;
}

/** The tracker's records of groups and storage servers, and its parameters. */
export class Records {
  /** When this node started, in seconds since 1970. */
  readonly started = Math.floor(Date.now() / 1000);

  constructor(
    private readonly node: TrackerParts,
    private readonly addresses: Addresses,
  ) {}

  get handlers(): [number, Handler][] {
    return [
      [TrackerCommand.storageIds, (request) => this.storageIds(request)],
      [TrackerCommand.parameters, (request) => this.parameters(request)],
      [TrackerCommand.oneGroup, (request) => this.oneGroup(request)],
      [TrackerCommand.listGroups, (request) => this.listGroups(request)],
      [TrackerCommand.listStorages, (request) => this.listStorages(request)],
      [TrackerCommand.leader, (request) => this.leader(request)],
    ];
  }

  /** 69: start index 4, allow-empty 1 → total 4, count 4, lines `id group address:port`. Ids are used in a cluster. */
  private async storageIds({ body, localAddress }: Request): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const start = fields.number32();
    fields.byte();
    fields.end();
    const lines = this.usesIds
      ? this.node.cluster.groups.flatMap((group) =>
          this.serversOf(group, localAddress).map(({ id, ip, port }) => `${id} ${group} ${ip}:${port}\n`),
        )
      : [];
    if (start > 0 && start >= lines.length) throw invalid('the index is beyond the last storage id');
    const counts = Buffer.alloc(8);
    counts.writeUInt32BE(lines.length, 0);
    counts.writeUInt32BE(lines.length - start, 4);
    return reply(counts, Buffer.from(lines.slice(start).join(''), 'latin1'));
  }

  /** 75: empty → lines `key=value`. */
  private async parameters({ body }: Request): Promise<Reply> {
    new Fields(await body.rest(LONGEST_BODY)).end();
    const values: Record<string, string | number> = {
      use_storage_id: this.usesIds ? 1 : 0,
      id_type_in_filename: this.usesIds ? 'id' : 'ip',
      trust_storage_server_id: 1,
      response_ip_addr_size: addressWidths(this.node.settings.fastdfsAddressWidth).record,
      storage_ip_changed_auto_adjust: 1,
      storage_sync_file_max_delay: 86400,
      store_path: 0,
      reserved_storage_space: '0.00%',
      use_trunk_file: 0,
      slot_min_size: 256,
      slot_max_size: 1048576,
      trunk_alloc_alignment_size: 256,
      trunk_file_size: 67108864,
      trunk_create_file_advance: 0,
      trunk_create_file_time_base: '02:00',
      trunk_create_file_interval: 86400,
      trunk_create_file_space_threshold: 21474836480,
      trunk_init_check_occupying: 0,
      trunk_init_reload_from_binlog: 0,
      trunk_free_space_merge: 1,
      delete_unused_trunk_files: 0,
      trunk_compress_binlog_min_interval: 86400,
      trunk_compress_binlog_interval: 86400,
      trunk_compress_binlog_time_base: '03:00',
      trunk_binlog_max_backups: 7,
      store_slave_file_use_link: 0,
    };
    return reply(
      Buffer.from(
        Object.entries(values)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(''),
      ),
    );
  }

  /** 90: group 16 → one record of 113 bytes. */
  private async oneGroup({ body, localAddress }: Request): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const group = this.known(fields.padded(Width.group));
    fields.end();
    return reply(this.groupRecord(group, localAddress));
  }

  /** 91: empty → a record of 113 bytes for each group. */
  private async listGroups({ body, localAddress }: Request): Promise<Reply> {
    new Fields(await body.rest(LONGEST_BODY)).end();
    return reply(...this.node.cluster.groups.map((group) => this.groupRecord(group, localAddress)));
  }

  /** 92: group 16, optional storage id → a record of 487 bytes (517 with IPv6) for each storage server. */
  private async listStorages({ body, localAddress }: Request): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const group = this.known(fields.padded(Width.group));
    const wanted = fields.rest().toString('latin1').replace(/\0.*$/s, '');
    const servers = this.serversOf(group, localAddress).filter(
      (server) => wanted === '' || wanted === this.idOf(server) || wanted === server.ip,
    );
    if (wanted !== '' && servers.length === 0) throw new WireError(Status.notFound, 'there is no such storage server');
    return reply(...servers.map((server) => this.storageRecord(server)));
  }

  /** 95: empty → `address:port` of the leading tracker: any node is one, so it is this one. */
  private async leader({ body, localAddress }: Request): Promise<Reply> {
    new Fields(await body.rest(LONGEST_BODY)).end();
    return reply(Buffer.from(this.trackerAddress(this.addresses.ipOf(localAddress))));
  }

  /** Whether storage servers are told by their ids: only then a client can tell one node of a group from another. */
  get usesIds(): boolean {
    return this.node.settings.peers.length > 0;
  }

  private known(group: string): string {
    if (!this.groups.includes(group)) throw new WireError(Status.notFound, `there is no group ${group}`);
    return group;
  }

  /** As clients name it: by its id, or by its address. */
  idOf({ id, ip }: Server): string {
    return this.usesIds ? String(id) : ip;
  }

  private trackerAddress(ip: string): string {
    return `${ip}:${this.node.settings.fastdfsTracker?.port ?? 0}`;
  }

  get groups(): readonly string[] {
    return this.node.cluster.groups;
  }

  statusOf({ isUp }: Pick<Server, 'isUp'>): number {
    return isUp ? ACTIVE : OFFLINE;
  }

  /** The nodes with a known address as trackers, this node first: all have the same settings. */
  trackers(localAddress: string): TrackerState[] {
    const own = { host: this.trackerAddress(this.addresses.ipOf(localAddress)), isOwn: true, isUp: true };
    const peers = this.groups
      .flatMap((group) => this.node.cluster.peersOf(group))
      .flatMap((peer) => {
        const address = this.addresses.of(peer);
        const { isUp, hello } = peer;
        return address
          ? [{ host: this.trackerAddress(address.ip), isOwn: false, isUp, version: shortVersion(hello?.version) }]
          : [];
      });
    return [{ ...own, version: shortVersion() }, ...peers];
  }

  /** The nodes of a group with a known address, this node first. */
  serversOf(group: string, localAddress: string): Server[] {
    const { cluster, settings } = this.node;
    const own = group === settings.group ? this.addresses.own(localAddress) : undefined;
    const servers: Server[] = own
      ? [
          {
            ...own,
            isUp: true,
            takesUploads: uploadsUnavailable(this.node) === undefined,
            hello: describeNode(this.node),
          },
        ]
      : [];
    for (const peer of cluster.peersOf(group)) {
      const address = this.addresses.of(peer);
      const { isUp, hello } = peer;
      if (address) servers.push({ ...address, isUp, takesUploads: isUp && hello?.trouble === null, hello });
    }
    return servers;
  }

  /** Space of a group in MiB: that of its smallest node, because all nodes hold the same files. */
  spaceOf(servers: readonly Server[]): { total: number; free: number } {
    const least = (values: number[]) => (values.length === 0 ? 0 : Math.floor(Math.min(...values) / MEBIBYTE));
    const known = servers.map(({ hello }) => hello).filter((hello) => hello !== undefined);
    return {
      total: least(known.map(({ capacity }) => capacity)),
      free: least(known.map(({ available }) => available)),
    };
  }

  private groupRecord(group: string, localAddress: string): Buffer {
    const servers = this.serversOf(group, localAddress);
    const { total, free } = this.spaceOf(servers);
    const up = servers.filter(({ isUp }) => isUp).length;
    const numbers = [
      ...[total, free, 0, 0],
      ...[servers.length, servers[0]?.port ?? 0, up, servers.filter(({ takesUploads }) => takesUploads).length],
      // The server that takes the next upload, and the trunk file: there is none.
      ...[0, servers[0]?.hello?.storePaths ?? 0, SUBDIRECTORIES, -1],
    ];
    return Buffer.concat([text(group, Width.groupInRecord), ...numbers.map(number64)]);
  }

  private storageRecord(server: Server): Buffer {
    const { ip, port, isUp, takesUploads, hello } = server;
    const { record: width } = addressWidths(this.node.settings.fastdfsAddressWidth);
    const now = Math.floor(Date.now() / 1000);
    const head = [
      Buffer.from([this.statusOf(server), takesUploads ? READ_AND_WRITE : READ_ONLY]),
      text(this.idOf(server), Width.storageId),
      text(ip, width),
      text('', Width.storageId),
      text(shortVersion(hello?.version), Width.version),
    ];
    const mebibytes = (bytes = 0) => Math.floor(bytes / MEBIBYTE);
    const numbers = [
      ...[this.started, this.started, mebibytes(hello?.capacity), mebibytes(hello?.available), 0],
      // Upload priority, store paths, directories, the path in use.
      ...[10, hello?.storePaths ?? 0, SUBDIRECTORIES, 0, port],
    ];
    const uploads = hello?.uploads ?? 0;
    const bytes = hello?.uploadedBytes ?? 0;
    // 42 counters; the pairs are of all and of successful operations. Only uploads are counted: the others stay 0.
    const counters = new Array<number>(42).fill(0);
    counters.splice(0, 2, uploads, uploads);
    counters.splice(20, 2, bytes, bytes);
    counters[41] = isUp ? now : 0;
    const connections = Buffer.alloc(12);
    return Buffer.concat([...head, ...numbers.map(number64), connections, ...counters.map(number64), Buffer.from([0])]);
  }
}

/** The version as in records, which have 8 bytes for it. */
export function shortVersion(full = version): string {
  return full.slice(0, Width.version - 1);
}
