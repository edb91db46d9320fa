import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Event } from '../../daemon/events/event.js';
import type { TestNode } from './node.js';

/** Resolves when a node has sent so many events since its start, and none waits. */
export function sent(node: TestNode, number: number): Promise<void> {
  const isSent = async () => {
    const text = (await node.get('/metrics')).body.toString();
    const total = Number(/^fidfs_events_sent_total (\d+)$/m.exec(text)?.[1]);
    return total >= number && /^fidfs_event_backlog_events 0$/m.test(text);
  };
  return node.until(isSent, `${number} events sent`, 60);
}

/** All events of a stream so far, in its order, with their subjects. */
export async function eventsIn(
  connection: NatsConnection,
  stream: string,
): Promise<{ subject: string; event: Event }[]> {
  const manager = await jetstreamManager(connection);
  const { state } = await manager.streams.info(stream);
  if (state.messages === 0) return [];
  const consumer = await jetstream(connection).consumers.get(stream, { deliver_policy: DeliverPolicy.All });
  const found: { subject: string; event: Event }[] = [];
  const messages = await consumer.consume();
  for await (const message of messages) {
    found.push({ subject: message.subject, event: message.json<Event>() });
    if (message.seq >= state.last_seq) break;
  }
  await messages.close();
  return found;
}

/** What is wrong with the order: the events of each node must have increasing numbers, those that came again apart. */
export function disordered(events: readonly Event[]): Event[] {
  const seen = new Map<number, Set<number>>();
  const last = new Map<number, number>();
  return events.filter((event) => {
    const { node, number } = event;
    const before = seen.get(node) ?? new Set();
    seen.set(node, before);
    if (before.has(number)) return false;
    before.add(number);
    const isLate = number < (last.get(node) ?? 0);
    last.set(node, Math.max(number, last.get(node) ?? 0));
    return isLate;
  });
}
