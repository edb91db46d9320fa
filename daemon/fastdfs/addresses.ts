import { isIP } from 'node:net';
import type { FileSource } from '../../file-id/file-id.js';
import type { Cluster, Peer } from '../cluster/cluster.js';
import type { Settings } from '../config/settings.js';
import { Status, WireError } from './codec.js';

/** A storage server as told to clients. */
export interface StorageAddress {
  /** Its server id. */
  id: number;
  group: string;
  /** An IP address that fits the configured width. */
  ip: string;
  port: number;
}

/** An IPv4 address that a socket gives as IPv6 (`::ffff:10.0.0.1`) as IPv4; others as they are. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** The addresses of storage servers that are told to clients. */
export class Addresses {
  constructor(
    private readonly settings: Pick<
      Settings,
      'serverId' | 'group' | 'fastdfsStorage' | 'fastdfsAddress' | 'fastdfsAddressWidth'
    >,
    private readonly cluster: Pick<Cluster, 'peer' | 'peers'>,
  ) {}

  /**
   * This node's own address, undefined if it serves no storage commands. Throws a WireError if it cannot be told in the configured
   * width.
   * @param localAddress the address of this node that the client is connected to
   */
  own(localAddress: string): StorageAddress | undefined {
    const { serverId: id, group, fastdfsStorage } = this.settings;
    return fastdfsStorage && { id, group, ip: this.ipOf(localAddress), port: fastdfsStorage.port };
  }

  /** This node's own IP address, as clients should use it. Throws a WireError as `own`. */
  ipOf(localAddress: string): string {
    const ip = this.settings.fastdfsAddress ?? plainAddress(localAddress);
    if (this.fits(ip)) return ip;
    const advice = 'set fastdfsAddress to an IPv4 address of this node, or fastdfsAddressWidth to ipv6';
    throw new WireError(Status.invalid, `the address ${ip} has no place in an answer; ${advice}`);
  }

  /** The address of a peer; undefined if it serves no storage commands, or if the address cannot be told. */
  of(peer: Peer): StorageAddress | undefined {
    const { id, settings, hello } = peer;
    if (!hello?.fastdfs) return undefined;
    const ip = hello.fastdfs.address ?? addressOf(peer);
    return this.fits(ip) ? { id, group: settings.group, ip, port: hello.fastdfs.port } : undefined;
  }

  /** Whether an IP address is that of a peer: in its URL, as resolved last, or the one that it tells clients. */
  isPeer(ip: string): boolean {
    return this.cluster.peers.some((peer) => addressOf(peer) === ip || peer.hello?.fastdfs?.address === ip);
  }

  /** The address of the node that accepted an upload; empty if it is not known. */
  ofSource(source: FileSource, localAddress: string): string {
    if ('ip' in source) return source.ip;
    if (source.serverId === this.settings.serverId) return this.own(localAddress)?.ip ?? '';
    const peer = this.cluster.peer(source.serverId);
    return (peer && this.of(peer)?.ip) ?? '';
  }

  private fits(ip: string): boolean {
    const version = isIP(ip);
    return version === 4 || (version === 6 && this.settings.fastdfsAddressWidth === 'ipv6');
  }
}

/** The IP address of a peer's URL, as resolved last; empty if it is not resolved. */
function addressOf({ origin }: Peer): string {
  return origin === undefined ? '' : new URL(origin).hostname.replace(/^\[|\]$/g, '');
}
