/*
 * The mark on a request that one node passes on to another: "answer from your own disk". It names the sender in clear,
 * and is authenticated for one file, one sender and one receiver.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs knows no other name
import crypto from 'crypto';

/** What authenticates a request of `sender` to `receiver` for a file. */
function hmac(readKey: string, id: string, sender: string, receiver: string): string {
  return crypto.createHmac('sha256', readKey).update(`read\n/${id}\n${sender}\n${receiver}`).digest('hex');
}

/** For which of the nodes `receivers` the header's text marks a request for this file; undefined when it is no mark. */
function receiverOf(text: string | undefined, readKey: string, id: string, receivers: string[]): string | undefined {
  const parts = /^([1-9][0-9]{0,7}) ([0-9a-f]{64})$/.exec(text || '');
  if (!parts) return undefined;
  const isRight = (receiver: string) => same(hmac(readKey, id, parts[1] as string, receiver), parts[2] as string);
  return receivers.filter(isRight)[0];
}

/** Compares all characters, whichever differ: the time taken tells nothing of what would have been right. */
function same(one: string, other: string): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  return difference === 0;
}

export default { hmac: hmac, receiverOf: receiverOf };
