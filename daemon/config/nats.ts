import { z } from 'zod';
import { characterIn } from '../words.js';
import { faultOfSecret, integer, isSecret, list, oneOf, path, value } from './values.js';

/*
 * The settings of events, and of NATS.
 */

/** Returns the URL of a NATS server without a trailing slash; undefined if it is invalid, or contains a user or a path. */
function parseServer(text: string): string | undefined {
  const match = /^(?:(nats|tls):\/\/)?((?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)\/?$/.exec(text);
  const url = match && `${match[1] ?? 'nats'}://${match[2]}`;
  return url && URL.canParse(url) ? url : undefined;
}

/** The settings of events and of the connection to NATS. */
export const natsSettings = {
  nats: list(
    parseServer,
    'the address of a NATS server, such as nats://10.0.0.5:4222 or tls://nats.example.com:4222; user and password are in natsCredentials',
  ).default([]),
  natsCredentials: path.optional(),
  natsCa: path.optional(),
  clusterName: value(
    (text) => (/^[A-Za-z0-9_-]{1,32}$/.test(text) ? text : undefined),
    '1 to 32 letters, digits, - or _',
    (text) => characterIn(text, /[^A-Za-z0-9_-]/u),
  ).default('fidfs'),
  events: oneOf('on', 'off').default('off'),
  eventUrl: value(
    (text) => (/^https?:\/\//.test(text) && URL.canParse(text) ? text : undefined),
    'a URL that begins with http:// or https://',
  ).optional(),
  eventSecret: z
    .string({ error: 'write 16 to 256 visible ASCII characters in quotes' })
    .refine(isSecret, { error: ({ input }) => faultOfSecret(String(input)) })
    .optional(),
  eventBacklog: value(integer(1000, 100_000_000), 'a number of events from 1000 to 100000000').default(1_000_000),
};

interface NatsSettings {
  nats: string[];
  natsCredentials?: string | undefined;
  natsCa?: string | undefined;
  events: 'on' | 'off';
  eventUrl?: string | undefined;
  eventSecret?: string | undefined;
}

/** Mistakes in their combination with each other. */
export function contradictionsOfNats(settings: NatsSettings): string[] {
  const { nats, natsCredentials, natsCa, events, eventUrl, eventSecret } = settings;
  const isTls = nats.some((url) => url.startsWith('tls://'));
  const mistakes: string[] = [];
  if (natsCredentials !== undefined && nats.length === 0) {
    mistakes.push('natsCredentials: without nats it has no effect; write both, or leave it out');
  }
  if (natsCa !== undefined && !isTls) {
    mistakes.push(
      'natsCa: without an address in nats that begins with tls:// it has no effect; write both, or leave it out',
    );
  }
  if (isTls && !nats.every((url) => url.startsWith('tls://'))) {
    mistakes.push('nats: one of the addresses begins with tls://; write it before all of them');
  }
  if (events === 'on' && nats.length === 0) {
    mistakes.push('events: with "on" they are sent to NATS; write the addresses of its servers in nats');
  }
  if (events === 'on' && eventUrl !== undefined) {
    mistakes.push('eventUrl: with "events": "on" they are sent to NATS; leave one of the two out');
  }
  if (eventUrl !== undefined && eventSecret === undefined) {
    mistakes.push('eventSecret: with eventUrl it must be set, because what is sent is signed with it');
  }
  if (eventSecret !== undefined && eventUrl === undefined) {
    mistakes.push('eventSecret: without eventUrl it has no effect; write both, or leave it out');
  }
  return mistakes;
}
