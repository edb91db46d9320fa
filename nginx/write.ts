import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../daemon/config/settings.js';
import { httpInclude, serverInclude, standaloneConfiguration } from './configuration.js';
import { type ServerPlace, TOKEN_FILE, typesInclude } from './downloads.js';
import { isSigned } from './links.js';
import { findNginx, type NginxPrograms } from './programs.js';
import { quotedInclude } from './quote.js';

/** Path of the directory of nginx's configuration and run files. */
export function nginxDirectory(settings: Settings): string {
  return join(settings.data, 'nginx');
}

/** The two `include` directives with which an operator's own nginx serves this node. */
export function includeLines(settings: Settings): { http: string; server: string } {
  const directory = nginxDirectory(settings);
  return {
    http: `include ${quotedInclude(join(directory, 'fidfs-http.conf'))};`,
    server: `include ${quotedInclude(join(directory, 'fidfs-server.conf'))};`,
  };
}

/** Cached descriptors per worker of an operator's nginx, which mostly has 1,024 and needs most of them for connections. */
const OPEN_FILES = 400;
/** Maximum of cached descriptors per worker of an nginx that this process starts; a third of its limit may be less. */
const OWN_OPEN_FILES = 10_000;

/** Number of cached descriptors per worker of an nginx that this process starts. */
function ownOpenFiles(): number {
  // Node raises its soft limit to the hard limit at startup; child processes inherit it.
  const descriptors = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024);
  return Math.min(OWN_OPEN_FILES, Math.floor(descriptors / 3));
}

/**
 * Writes the include files and the media types to `nginxDirectory`. `seeks` as in `NginxPrograms`, by default of the nginx that is
 * found. Throws the errors of the file system and of `quoted`.
 */
export function writeIncludes(settings: Settings, seeks = findNginx()?.seeks ?? []): void {
  const directory = nginxDirectory(settings);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'fidfs-http.conf'), httpInclude(settings, join(directory, 'pictures')));
  writeServerInclude(settings, 'fidfs-server.conf', { openFiles: OPEN_FILES, seeks });
  writeFileSync(join(directory, 'fidfs-types.conf'), typesInclude(settings));
}

function writeServerInclude(settings: Settings, name: string, place: Omit<ServerPlace, 'directory'>): void {
  const directory = nginxDirectory(settings);
  // With peers, a token key or signed links the include contains a secret, which only nginx's master reads. An existing file would keep its old mode.
  const file = join(directory, name);
  const hasSecret = settings.peers.length > 0 || settings.fastdfsTokenKey !== undefined || isSigned(settings);
  const mode = hasSecret ? 0o600 : 0o666;
  rmSync(`${file}.new`, { force: true });
  writeFileSync(`${file}.new`, serverInclude(settings, { directory, ...place }), { mode });
  renameSync(`${file}.new`, file);
}

/** Writes the includes and a complete configuration; returns its path. `user` as in `Standalone`. */
export function writeStandalone(
  settings: Settings,
  { module, counts, seeks }: Omit<NginxPrograms, 'nginx'>,
  user: string | undefined,
): string {
  const directory = nginxDirectory(settings);
  mkdirSync(join(directory, 'tmp'), { recursive: true });
  mkdirSync(join(settings.data, 'log'), { recursive: true });
  writeIncludes(settings, seeks);
  writeFileSync(join(directory, 'own-http.conf'), httpInclude(settings, join(directory, 'own-pictures')));
  writeServerInclude(settings, 'own-server.conf', { openFiles: ownOpenFiles(), seeks });
  rmSync(join(directory, TOKEN_FILE), { force: true });
  const configuration = join(directory, 'nginx.conf');
  const accessLog = join(settings.data, 'log', 'access.log');
  // Created here because an nginx started by root would create it as root, and the owner could not write to it later.
  closeSync(openSync(accessLog, 'a'));
  writeFileSync(configuration, standaloneConfiguration(settings, { directory, accessLog, module, counts, user }));
  return configuration;
}
