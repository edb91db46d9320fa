import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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

/** Writes the include files. */
export function writeIncludes(settings: Settings): void {
  const directory = nginxDirectory(settings);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'fidfs-http.conf'), httpInclude(settings));
  // With peers it holds a secret, which nginx's master alone reads. A new file, because an old one would keep its mode.
  const server = join(directory, 'fidfs-server.conf');
  const mode = settings.peers.length > 0 ? 0o600 : 0o666;
  rmSync(`${server}.new`, { force: true });
  writeFileSync(`${server}.new`, serverInclude(settings, directory), { mode });
  renameSync(`${server}.new`, server);
  writeFileSync(join(directory, 'fidfs-types.conf'), typesInclude(settings));
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
  rmSync(join(directory, TOKEN_FILE), { force: true });
  const configuration = join(directory, 'nginx.conf');
  const accessLog = join(settings.data, 'log', 'access.log');
  // nginx makes it as root where root starts it, and the owner could not write there later.
  closeSync(openSync(accessLog, 'a'));
  writeFileSync(configuration, standaloneConfiguration(settings, { directory, accessLog, module, counts, user }));
  return configuration;
}
