import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../daemon/config/settings.js';
import { httpInclude, serverInclude, standaloneConfiguration } from './configuration.js';
import { TOKEN_FILE, typesInclude } from './downloads.js';
import type { NginxPrograms } from './programs.js';
import { quotedInclude } from './quote.js';

/** Where nginx's configuration and run files lie. */
export function nginxDirectory(settings: Settings): string {
  return join(settings.data, 'nginx');
}

/** The two lines that make somebody's own nginx serve this node. */
export function includeLines(settings: Settings): { http: string; server: string } {
  const directory = nginxDirectory(settings);
  return {
    http: `include ${quotedInclude(join(directory, 'fidfs-http.conf'))};`,
    server: `include ${quotedInclude(join(directory, 'fidfs-server.conf'))};`,
  };
}

/** A worker of somebody's nginx mostly has 1,024 descriptors, and needs most of them for connections. */
const OPEN_FILES = 400;
/** Our own has as many as this process; it keeps open no more files than this, and no more than a third of those. */
const OWN_OPEN_FILES = 10_000;

/** How many files each worker of an nginx that this process starts may keep open. */
function ownOpenFiles(): number {
  // Node raises its own limit as far as it may, and whatever it starts has the same.
  const descriptors = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024);
  return Math.min(OWN_OPEN_FILES, Math.floor(descriptors / 3));
}

/** Writes the include files. */
export function writeIncludes(settings: Settings): void {
  const directory = nginxDirectory(settings);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'fidfs-http.conf'), httpInclude(settings));
  writeServerInclude(settings, 'fidfs-server.conf', OPEN_FILES);
  writeFileSync(join(directory, 'fidfs-types.conf'), typesInclude(settings));
}

function writeServerInclude(settings: Settings, name: string, openFiles: number): void {
  const directory = nginxDirectory(settings);
  // With peers it holds a secret, which nginx's master alone reads. A new file, because an old one would keep its mode.
  const file = join(directory, name);
  const mode = settings.peers.length > 0 ? 0o600 : 0o666;
  rmSync(`${file}.new`, { force: true });
  writeFileSync(`${file}.new`, serverInclude(settings, { directory, openFiles }), { mode });
  renameSync(`${file}.new`, file);
}

/** Writes the includes and a whole configuration around them; returns its path. */
export function writeStandalone(
  settings: Settings,
  { module, counts }: Pick<NginxPrograms, 'module' | 'counts'>,
  user: string | undefined,
): string {
  const directory = nginxDirectory(settings);
  mkdirSync(join(directory, 'tmp'), { recursive: true });
  mkdirSync(join(settings.data, 'log'), { recursive: true });
  writeIncludes(settings);
  writeServerInclude(settings, 'own-server.conf', ownOpenFiles());
  rmSync(join(directory, TOKEN_FILE), { force: true });
  const configuration = join(directory, 'nginx.conf');
  const accessLog = join(settings.data, 'log', 'access.log');
  // nginx makes it as root where root starts it, and the owner could not write there later.
  closeSync(openSync(accessLog, 'a'));
  writeFileSync(configuration, standaloneConfiguration(settings, { directory, accessLog, module, counts, user }));
  return configuration;
}
