/*
 * The read mark on a request that one node forwards to another: the receiver answers from its own disks only. It contains the
 * sender's id and an HMAC over file, sender and receiver.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs has no node: prefix
import crypto from 'crypto';

/** Returns the HMAC of a request of `sender` to `receiver` for a file, in hexadecimal. */
function hmac(readKey: string, id: string, sender: string, receiver: string): string {
  return crypto.createHmac('sha256', readKey).update(`read\n/${id}\n${sender}\n${receiver}`).digest('hex');
}

/** Returns the node among `receivers` for which the header `text` is a valid mark for this file; undefined if none. */
function receiverOf(text: string | undefined, readKey: string, id: string, receivers: string[]): string | undefined {
  const parts = /^([1-9][0-9]{0,7}) ([0-9a-f]{64})$/.exec(text || '');
  if (!parts) return undefined;
  const isRight = (receiver: string) => same(hmac(readKey, id, parts[1] as string, receiver), parts[2] as string);
  return receivers.filter(isRight)[0];
}

/** Compares in time independent of the position of the first difference, against timing attacks. */
function same(one: string, other: string): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  return difference === 0;
}

export default { hmac: hmac, receiverOf: receiverOf, same: same };
