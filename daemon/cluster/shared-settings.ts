import { createHmac } from 'node:crypto';

/*
 * The settings that must be equal on all nodes and that no request compares. A node sends a fingerprint of each in its hello, an
 * HMAC with `peerSecret`: it shows whether two nodes have the same value, and nothing of the value.
 */

/** Fingerprints by the name of the setting. */
export type Fingerprints = Record<string, string>;

/** Computes the fingerprints of settings; a value is anything that JSON can represent. */
export function fingerprints(peerSecret: string, settings: Record<string, unknown>): Fingerprints {
  const of = (name: string, value: unknown) =>
    createHmac('sha256', peerSecret)
      .update(`setting ${name}\n${JSON.stringify(value ?? null)}`)
      .digest('base64url');
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, of(name, value)]));
}

/** The names of the settings whose value is another one on a peer. A node of another version has fewer or more of them. */
export function differing(own: Fingerprints, theirs: Fingerprints): string[] {
  return Object.keys(own).filter((name) => theirs[name] !== undefined && theirs[name] !== own[name]);
}
