import type { Right } from '../../daemon/config/keys.js';

const ID = 'group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg';

/** A route and the right that it needs. */
export type Route = [method: string, path: string, right: Right];

/** Every route that needs a key, and the right that it needs. */
export const ROUTES: readonly Route[] = [
  ['POST', '/upload', 'upload'],
  ['PUT', '/upload/a.txt', 'upload'],
  ['POST', '/upload/known', 'upload'],
  ['POST', '/tus', 'upload'],
  ['POST', '/tus/', 'upload'],
  ['HEAD', '/tus/1-0123456789abcdef', 'upload'],
  ['PATCH', '/tus/1-0123456789abcdef', 'upload'],
  ['DELETE', '/tus/1-0123456789abcdef', 'upload'],
  ['POST', '/tus/1-0123456789abcdef', 'upload'],
  ['PUT', `/metadata/${ID}`, 'upload'],
  ['DELETE', `/${ID}`, 'delete'],
  ['GET', `/metadata/${ID}`, 'list'],
  ['GET', '/files', 'list'],
  ['POST', '/stat', 'list'],
  ['POST', '/delete', 'delete'],
  ['GET', `/console/api/copies?id=${ID}`, 'list'],
  ['GET', '/console/api/groups', 'list'],
  ['POST', '/console/api/sign', 'sign'],
  ['GET', '/console/api/cluster', 'admin'],
  ['GET', '/console/api/history', 'admin'],
];
/** Those that only the daemon's own address has. */
export const DAEMON_ROUTES: readonly Route[] = [
  ['GET', '/status', 'admin'],
  ['POST', '/adopt', 'admin'],
  ['POST', '/scrub', 'admin'],
];
