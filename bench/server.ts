import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { daemonProgram } from '../daemon/cli/processes.js';
import { loadSettings, type Settings } from '../daemon/config/settings.js';
import { findNginx } from '../nginx/programs.js';
import { includeLines, writeIncludes } from '../nginx/write.js';
import { freePort } from '../test/helpers/ports.js';
import { childrenOf } from './processes.js';

/** Timeout until a node is ready. */
const READY_SECONDS = 60;

/** A node under measurement, and the reference locations in the same nginx. */
export interface BenchServer {
  settings: Settings;
  key: string;
  origin: string;
  daemonPid: number;
  /** Process id of nginx's only worker. */
  workerPid: number;
  /** Directory of nginx's DAV PUT, on the file system of the store. */
  davDirectory: string;
  stop(): Promise<void>;
}

/**
 * Starts the daemon and one nginx with one worker. As references nginx also serves the same files by a plain `alias` with the
 * same open_file_cache (`/cached/`) and without (`/uncached/`), both with the sendfile and tcp_nopush of Debian's nginx, and
 * with fidfs's settings for large files (`/same/`), and takes DAV PUT (`/dav/`).
 * @param extra settings, as environment variables
 * @param seconds timeout until it is ready
 */
export async function startServer(
  directory: string,
  extra: Record<string, string> = {},
  seconds = READY_SECONDS,
): Promise<BenchServer> {
  const key = 'bench-key-0123456789abcdef';
  const data = join(directory, 'data');
  const environment = {
    ...{ FIDFS_DATA: data, FIDFS_KEY: key, FIDFS_WORKERS: '1', FIDFS_RESERVE: '1MiB' },
    ...{ FIDFS_LISTEN: `127.0.0.1:${await freePort()}`, FIDFS_DAEMON_LISTEN: `127.0.0.1:${await freePort()}` },
    ...extra,
  };
  const settings = loadSettings(undefined, environment);
  const { port } = settings.listen;
  mkdirSync(data, { recursive: true });
  const { main, execArgv, env } = daemonProgram();
  const daemon = spawn(process.execPath, [...execArgv, main, ''], {
    env: { ...env, ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const davDirectory = join(directory, 'dav');
  const nginx = startNginx(settings, directory, davDirectory, port);
  const origin = `http://127.0.0.1:${port}`;
  const stop = async () => {
    for (const child of [nginx, daemon]) await endOf(child);
  };
  try {
    await untilReady(origin, seconds);
  } catch (error) {
    await stop();
    process.stderr.write(readFileSync(join(directory, 'nginx', 'error.log'), 'utf8').slice(-2000));
    throw error;
  }
  const [workerPid] = childrenOf(nginx.pid as number);
  return {
    ...{ settings, key, origin, davDirectory, stop },
    daemonPid: daemon.pid as number,
    workerPid: workerPid as number,
  };
}

/** Terminates a process unless it has exited; resolves when it has. */
export async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

function startNginx(settings: Settings, directory: string, davDirectory: string, port: number): ChildProcess {
  const programs = findNginx();
  if (!programs) throw new Error('nginx or its njs module is missing; "npm start" installs them');
  const work = join(directory, 'nginx');
  mkdirSync(join(work, 'tmp'), { recursive: true });
  mkdirSync(davDirectory, { recursive: true });
  writeIncludes(settings);
  const lines = includeLines(settings);
  const files = settings.storePaths[0];
  const configuration = join(work, 'nginx.conf');
  const load = programs.module ? `load_module "${programs.module}";` : '';
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(
    configuration,
    `${load} ${user} daemon off; worker_processes 1; pcre_jit on; pid "${work}/nginx.pid"; error_log "${work}/error.log" error;
events { worker_connections 4096; }
http {
  server_tokens off; keepalive_requests 100000000;
  client_body_temp_path "${directory}/dav/.tmp"; proxy_temp_path "${work}/tmp/p"; fastcgi_temp_path "${work}/tmp/f";
  uwsgi_temp_path "${work}/tmp/u"; scgi_temp_path "${work}/tmp/s";
  ${lines.http}
  access_log "${work}/access.log" fidfs buffer=64k flush=1s;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    ${lines.server}
    location /cached/ {
      alias "${files}/data/"; sendfile on; tcp_nopush on; log_not_found off;
      open_file_cache max=10000 inactive=60s; open_file_cache_valid 1s;
    }
    location /uncached/ { alias "${files}/data/"; sendfile on; tcp_nopush on; log_not_found off; }
    location /same/ {
      alias "${files}/data/"; sendfile on; tcp_nopush off; log_not_found off;
      open_file_cache max=10000 inactive=60s; open_file_cache_valid 1s;
    }
    location /dav/ {
      alias "${davDirectory}/"; dav_methods PUT; create_full_put_path on; client_max_body_size 0;
      client_body_buffer_size 512k;
    }
  }
}
`,
  );
  const words = ['-e', join(work, 'error.log'), '-p', work, '-c', configuration];
  return spawn(programs.nginx, words, { stdio: ['ignore', 'ignore', 'inherit'] });
}

async function untilReady(origin: string, seconds: number): Promise<void> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const ready = await fetch(`${origin}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) return;
    await sleep(20);
  }
  throw new Error('the node did not get ready; its output is above');
}
