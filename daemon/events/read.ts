import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** Which events are read. */
export interface Range {
  /** The first ones are those that were published then or later, in milliseconds since 1970; undefined: from now on. */
  from: number | undefined;
  /** Whether to wait for further events after the last one. */
  follow: boolean;
}

/**
 * The events of a cluster, each as the JSON that was published. Leaves no consumer in NATS. Rejects if there is no stream, or if it
 * cannot be read.
 */
export async function* readEvents(
  connection: NatsConnection,
  clusterName: string,
  { from, follow }: Range,
): AsyncGenerator<string> {
  const manager = await jetstreamManager(connection);
  const subject = `${clusterName}.events.>`;
  const { value: stream } = await manager.streams.names(subject)[Symbol.asyncIterator]().next();
  if (stream === undefined) throw new Error(`no stream has the subject ${subject}: no event has been published yet`);
  const begin =
    from === undefined
      ? { deliver_policy: DeliverPolicy.New }
      : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(from).toISOString() };
  const consumer = await jetstream(connection).consumers.get(stream, { filter_subjects: subject, ...begin });
  if (!follow && (await consumer.info()).num_pending === 0) return;
  for await (const message of await consumer.consume()) {
    yield message.string();
    if (!follow && message.info.pending === 0) return;
  }
}
