import { createHmac } from 'node:crypto';

/*
 * The mark of a download that one node requests from another. The receiver serves only files on its own disk, and does not ask
 * other nodes. njs checks the mark, so it has its own key, from which `peerSecret` cannot be derived. It has no date: a
 * replayed mark prevents requests to other nodes, and stands for a token of FastDFS (`fastdfsTokenKey`), but whoever can read marks on
 * the network reads the files there, too.
 */

/** The header that carries the mark. */
export const READ_MARK_HEADER = 'x-fidfs-peer';

/**
 * The header that carries the mark of a daemon which reads a file for FastDFS's protocol: the files of a group that needs signed links are
 * sent to it without one, whatever its group.
 */
export const DAEMON_MARK_HEADER = 'x-fidfs-daemon';

/** Derives the key of read marks, as hex digits. */
export function readMarkKey(peerSecret: string): string {
  return createHmac('sha256', peerSecret).update('fidfs read mark').digest('hex');
}

/** The value of the header for `GET /<id>`. `sender` and `receiver` are server ids. */
export function readMark(key: string, id: string, sender: number, receiver: number): string {
  const mark = createHmac('sha256', key).update(`read\n/${id}\n${sender}\n${receiver}`).digest('hex');
  return `${sender} ${mark}`;
}

/** The value of `DAEMON_MARK_HEADER`; parameters as for `readMark`. */
export function daemonMark(key: string, id: string, sender: number, receiver: number): string {
  return readMark(key, `daemon/${id}`, sender, receiver);
}
