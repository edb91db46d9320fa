import { isIP } from 'node:net';
import { z } from 'zod';
import fileId from '../../file-id/file-id.js';
import { integer, parseGroup, parseOrigin, value } from './values.js';

/*
 * The settings that name other machines: the other nodes, and FastDFS's web servers.
 */

/** Another node, as in the settings. */
export interface PeerSettings {
  /** Its server id. */
  id: number;
  group: string;
  /** Its base URL: `http://10.0.0.2:8080`. */
  url: string;
}

/** A group that FastDFS still serves. */
export interface LegacyGroup {
  group: string;
  /** Scheme, address and port of its web server: `http://10.0.0.9:8888`. */
  url: string;
}

const PEER_WORDS =
  '{"id":2,"group":"group1","url":"http://10.0.0.2:8080"}, or in the environment 2@group1=http://10.0.0.2:8080';

/** Parses a peer such as `2@group1=http://10.0.0.2:8080`. */
function parsePeer(text: string, maxServerId: number): PeerSettings | undefined {
  const match = /^(\d+)@([^=]+)=(.+)$/.exec(text);
  const id = integer(1, maxServerId)(match?.[1] ?? '');
  const group = parseGroup(match?.[2] ?? '');
  const url = parseOrigin(match?.[3] ?? '');
  return id !== undefined && group !== undefined && url !== undefined ? { id, group, url } : undefined;
}

/** Peers as strings, or as objects of the settings file, which are converted to strings first, so that one form is checked. */
export function peers() {
  const form = z.strictObject({ id: z.number(), group: z.string(), url: z.string() });
  const text = z.union([z.string(), form.transform(({ id, group, url }) => `${id}@${group}=${url}`)], {
    error: `write ${PEER_WORDS}`,
  });
  const peer = text
    .transform((one): string | number => one)
    .pipe(value((one) => parsePeer(one, fileId.MAX_SERVER_ID), PEER_WORDS));
  const commas = z.string().transform((all): unknown[] => all.split(',').filter((one) => one.trim() !== ''));
  const either = z.union([commas, z.array(z.unknown())], { error: `write a list of ${PEER_WORDS}` });
  return either
    .pipe(z.array(peer))
    .refine((all) => new Set(all.map(({ id }) => id)).size === all.length, 'an id is given twice; each is its own');
}

const LEGACY_WORDS =
  '{"group2":"http://10.0.0.9:8888"}, or in the environment group2=http://10.0.0.9:8888; the host is an IP address or localhost';

/** Parses a group and its web server such as `group2=http://10.0.0.9:8888`. */
function parseLegacy(text: string): LegacyGroup | undefined {
  const match = /^([^=]+)=(.+)$/.exec(text);
  const group = parseGroup(match?.[1] ?? '');
  const url = parseOrigin(match?.[2] ?? '');
  if (group === undefined || url === undefined) return undefined;
  const { protocol, hostname } = new URL(url);
  // nginx resolves a host name once, and does not start without an answer.
  const isAddress = hostname === 'localhost' || isIP(hostname.replace(/^\[|\]$/g, '')) !== 0;
  return protocol === 'http:' && isAddress ? { group, url } : undefined;
}

/** Groups with their web servers, as an object of the settings file or a string, which have one form when they are checked. */
export function legacy() {
  const object = z.record(z.string(), z.string()).transform((all) => Object.entries(all).map((pair) => pair.join('=')));
  const commas = z.string().transform((all) => all.split(',').filter((one) => one.trim() !== ''));
  const entry = z
    .string()
    .transform((one): string | number => one)
    .pipe(value(parseLegacy, LEGACY_WORDS));
  return z
    .union([commas, object], { error: `write ${LEGACY_WORDS}` })
    .pipe(z.array(entry))
    .refine((all) => new Set(all.map(({ group }) => group)).size === all.length, 'a group is given twice');
}
