import type { Alarms } from '../alarm.js';
import type { Settings } from '../config/settings.js';
import type { Outbox } from '../index/outbox.js';
import { Publisher, type Sink } from './publisher.js';
import { WebhookSink } from './webhook-sink.js';

/** The site of all nodes. */
const SITE = 'main';

interface EventsParts {
  settings: Settings;
  outbox: Outbox;
  alarms: Alarms;
  log: { info(context: object, message: string): void; warn(context: object, message: string): void };
}

/** Whether events are published, so that the outbox must have them. */
export function areEventsOn({ events, eventUrl }: Pick<Settings, 'events' | 'eventUrl'>): boolean {
  return events === 'on' || eventUrl !== undefined;
}

/** Creates the publisher of events; undefined if they are off. Rejects if the files of `natsCredentials` or `natsCa` are not valid. */
export async function createEvents({ settings, outbox, alarms, log }: EventsParts): Promise<Publisher | undefined> {
  const sink = await sinkOf(settings, log);
  const { group, serverId, eventBacklog: backlog } = settings;
  return sink && new Publisher({ outbox, origin: { group, site: SITE, serverId }, sink, backlog, alarms, log });
}

/** Imports the client of NATS only if it is used: it takes memory, and time at the start. */
async function sinkOf(settings: Settings, log: EventsParts['log']): Promise<Sink | undefined> {
  const { events, eventUrl, eventSecret = '', group, serverId, clusterName } = settings;
  if (eventUrl !== undefined) return new WebhookSink(eventUrl, eventSecret);
  if (events === 'off') return undefined;
  const [{ Nats }, { JetStreamSink }] = await Promise.all([
    import('../nats/connection.js'),
    import('./jetstream-sink.js'),
  ]);
  return new JetStreamSink(new Nats(settings, `fidfs ${group} ${serverId}`, log), clusterName, log);
}
