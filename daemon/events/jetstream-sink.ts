import {
  DiscardPolicy,
  JetStreamApiError,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Nats } from '../nats/connection.js';
import type { Identified } from './event.js';
import type { Sink } from './publisher.js';

/** How long a server may take to store an event, in milliseconds. */
const PUBLISH_MILLISECONDS = 5000;
/** Limits of a stream that a node makes: age in nanoseconds, size in bytes. */
const STREAM_AGE = 7 * 86_400 * 1e9;
const STREAM_BYTES = 2 ** 30;
/** Error codes of JetStream: fewer servers than replicas, not a cluster, too little space; a stream of this name is there. */
const TOO_FEW_SERVERS = [10005, 10023, 10074, 10047, 10028];
const NAME_IN_USE = 10058;

/** Publishes events to JetStream, each as one message with the event's unique id as its `Nats-Msg-Id`. */
export class JetStreamSink implements Sink {
  readonly pageLength = 256;
  readonly longestPause = 10_000;

  /** @param nats started and stopped by this sink */
  constructor(
    private readonly nats: Nats,
    private readonly clusterName: string,
    private readonly log: { info(context: object, message: string): void },
  ) {}

  get target(): string {
    return `NATS, ${this.clusterName}.events`;
  }

  start(): void {
    this.nats.start();
  }

  stop(): Promise<void> {
    return this.nats.stop();
  }

  onRecovered(listener: () => void): void {
    this.nats.onChange(() => {
      if (this.nats.current) listener();
    });
  }

  async send(page: readonly Identified[]): Promise<{ arrived: number; failure?: string }> {
    const connection = this.nats.current;
    if (!connection) return { arrived: 0, failure: this.nats.failure ?? 'not connected' };
    const client = jetstream(connection, { timeout: PUBLISH_MILLISECONDS });
    const results = await Promise.allSettled(
      page.map(({ uniqueId, event }) => {
        const subject = `${this.clusterName}.events.${event.group}.${event.type}`;
        return client.publish(subject, JSON.stringify(event), { msgID: uniqueId });
      }),
    );
    const arrived = results.findIndex(({ status }) => status === 'rejected');
    const result = results[arrived];
    if (result?.status !== 'rejected') return { arrived: page.length };
    // Without a stream nobody answers. It is looked for after a failure only: who publishes need not have the right to do that.
    const { message } = result.reason as Error;
    try {
      if (!(await this.makeStream(connection, page[arrived]?.event.group ?? ''))) return { arrived, failure: message };
    } catch (error) {
      return { arrived, failure: `${message} (the stream: ${(error as Error).message})` };
    }
    const rest = await this.send(page.slice(arrived));
    return { ...rest, arrived: arrived + rest.arrived };
  }

  /** Makes the stream if no stream has the subjects of this group's events. Resolves with whether it was made; rejects if that fails. */
  private async makeStream(connection: NatsConnection, group: string): Promise<boolean> {
    if (connection.isClosed() || !this.nats.current) return false;
    const manager = await jetstreamManager(connection, { timeout: PUBLISH_MILLISECONDS, checkAPI: false });
    const ofGroup = `${this.clusterName}.events.${group}.stored`;
    for await (const _ of manager.streams.names(ofGroup)) return false;
    for (const replicas of [3, 2, 1]) {
      try {
        const made = await manager.streams.add({
          name: `${this.clusterName}-events`,
          subjects: [`${this.clusterName}.events.>`],
          retention: RetentionPolicy.Limits,
          storage: StorageType.File,
          discard: DiscardPolicy.Old,
          max_age: STREAM_AGE,
          max_bytes: STREAM_BYTES,
          num_replicas: replicas,
        });
        this.log.info({ stream: made.config.name, replicas }, 'made the stream of events');
        return true;
      } catch (error) {
        const code = error instanceof JetStreamApiError ? error.code : undefined;
        // Another node has made it just now.
        if (code === NAME_IN_USE) return false;
        if (replicas === 1 || code === undefined || !TOO_FEW_SERVERS.includes(code)) throw error;
      }
    }
    return false;
  }
}
