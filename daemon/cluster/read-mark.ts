import { createHmac } from 'node:crypto';

/*
 * The mark of a read that one node makes of another: "answer from your own disk, or say 404". It is checked by njs, hence
 * a key of its own, from which `peerSecret` cannot be had. It has no date: all it can do is make a node not ask others.
 */

/** The header that carries the mark. */
export const READ_MARK_HEADER = 'x-fidfs-peer';

/** The key of all read marks, as hex digits. */
export function readMarkKey(peerSecret: string): string {
  return createHmac('sha256', peerSecret).update('fidfs read mark').digest('hex');
}

/** The mark for reading `/<id>`. */
export function readMark(key: string, id: string, sender: number, receiver: number): string {
  const mark = createHmac('sha256', key).update(`read\n/${id}\n${sender}\n${receiver}`).digest('hex');
  return `${sender} ${mark}`;
}
