import { Fields, number64, reply, TrackerCommand, text, Width } from './codec.js';
import type { Handler, Reply, Request } from './connection.js';
import { ACTIVE, LONGEST_BODY, type Records, shortVersion } from './records.js';

/** Width of `address:port`. */
const HOST = 52;
/** Connections allocated, current and at most, 4 bytes each: for trackers as in a recorded answer, because they are not counted. */
const TRACKER_CONNECTIONS = Buffer.from([0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 3]);
const STORAGE_CONNECTIONS = Buffer.alloc(12);

/** Bits of the first byte of a request: by which of the values that follow answers are selected. */
const TrackerFilter = { active: 1, leader: 2 } as const;
const StorageFilter = { status: 2 } as const;
const VolumeFilter = { disk: 1, space: 4 } as const;

/** The statistics of a tracker that command-line tools of FastDFS 6.16 print: as far as they print them. */
export class Statistics {
  constructor(private readonly records: Records) {}

  get handlers(): [number, Handler][] {
    return [
      [TrackerCommand.trackerStatistics, (request) => this.trackers(request)],
      [TrackerCommand.storageStatistics, (request) => this.storages(request)],
      [TrackerCommand.volumeStatistics, (request) => this.volumes(request)],
    ];
  }

  /**
   * 96: filter 1, active 1, leader 1 → count 1, and for each tracker host 52, leader 1, active 1, connections 12, version 8, start 8,
   * last heartbeat 8 (0 for the leader). The leader is the node that answers, as for the command 95.
   */
  private async trackers({ body, localAddress }: Request): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const [filter, active, leader] = [fields.byte(), fields.byte(), fields.byte()];
    fields.end();
    const selected = this.records
      .trackers(localAddress)
      .filter(
        (one) =>
          ((filter & TrackerFilter.active) === 0 || Number(one.isUp) === active) &&
          ((filter & TrackerFilter.leader) === 0 || Number(one.isOwn) === leader),
      );
    const records = selected.map(({ host, isOwn, isUp, version }) =>
      Buffer.concat([
        ...[text(host, HOST), Buffer.from([Number(isOwn), Number(isUp)]), TRACKER_CONNECTIONS],
        ...[text(version, Width.version), number64(this.records.started), number64(isUp && !isOwn ? now() : 0)],
      ]),
    );
    return reply(Buffer.from([records.length]), ...records);
  }

  /**
   * 97: filter 1, operator 1 (`=` or `!`), status 1, trunk server 1 → ids used 1, trunk files used 1, count 4, and for each storage
   * server id 16, host 52, trunk server 1, status 1, connections 12, version 8, start 8, last heartbeat 8.
   */
  private async storages({ body, localAddress }: Request): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const [filter, operator, status] = [fields.byte(), String.fromCharCode(fields.byte()), fields.byte()];
    fields.byte();
    fields.end();
    const isSelected = (value: number) =>
      (filter & StorageFilter.status) === 0 ||
      (operator === '=' && value === status) ||
      (operator === '!' && value !== status);
    const { records } = this;
    const servers = records.groups
      .flatMap((group) => records.serversOf(group, localAddress))
      .filter((server) => isSelected(records.statusOf(server)));
    const head = Buffer.from([Number(records.usesIds), 0, 0, 0, 0, 0]);
    head.writeUInt32BE(servers.length, 2);
    return reply(
      head,
      ...servers.flatMap((server) => [
        ...[text(records.idOf(server), Width.storageId), text(`${server.ip}:${server.port}`, HOST)],
        ...[Buffer.from([0, records.statusOf(server)]), STORAGE_CONNECTIONS],
        text(shortVersion(server.hello?.version), Width.version),
        ...[number64(records.started), number64(records.statusOf(server) === ACTIVE ? now() : 0)],
      ]),
    );
  }

  /**
   * 98: filter 1, disk available 1, trunk space available 1, any space available 1 → trunk files used 1, count 4, and for each group its
   * name 17, MiB in total, free, reserved, available, and free in trunk files, 8 bytes each; disk available 1, trunk space available 1.
   */
  private async volumes({ body, localAddress }: Request): Promise<Reply> {
    const fields = new Fields(await body.rest(LONGEST_BODY));
    const [filter, disk, , space] = [fields.byte(), fields.byte(), fields.byte(), fields.byte()];
    fields.end();
    const volumes = this.records.groups
      .map((group) => ({ group, ...this.records.spaceOf(this.records.serversOf(group, localAddress)) }))
      .filter(
        ({ free }) =>
          ((filter & VolumeFilter.disk) === 0 || Number(free > 0) === disk) &&
          ((filter & VolumeFilter.space) === 0 || Number(free > 0) === space),
      );
    const head = Buffer.from([0, 0, 0, 0, 0]);
    head.writeUInt32BE(volumes.length, 1);
    return reply(
      head,
      ...volumes.flatMap(({ group, total, free }) => [
        text(group, Width.groupInRecord),
        ...[total, free, 0, free, 0].map(number64),
        Buffer.from([Number(free > 0), 0]),
      ]),
    );
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
