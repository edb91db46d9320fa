import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The nginx of this machine and its njs module. */
export interface NginxPrograms {
  /** Path of the executable. */
  nginx: string;
  /** Path of the njs module; undefined if njs is built in. */
  module: string | undefined;
  /** Whether nginx has the stub_status module, which counts requests. */
  counts: boolean;
  /** The extensions of the videos in which nginx can seek: those of its modules mp4 and flv. */
  seeks: readonly string[];
}

/** The extensions of the videos that nginx has modules for. */
const SEEKING_MODULES = ['mp4', 'flv'];

/** Finds nginx and its njs module; undefined if either is missing. Throws if `nginx -V` fails. */
export function findNginx(): NginxPrograms | undefined {
  const places = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    '/usr/local/nginx/sbin',
  ];
  const nginx = places.map((place) => join(place, 'nginx')).find((program) => existsSync(program));
  if (!nginx) return undefined;
  // nginx -V prints to standard error.
  const build = execFileSync('sh', ['-c', '"$0" -V 2>&1', nginx], { encoding: 'utf8' });
  const directory = /--modules-path=(\S+)/.exec(build)?.[1];
  const candidates = [directory, '/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/etc/nginx/modules'];
  const modules = candidates.filter((one) => one !== undefined).map((one) => join(one, 'ngx_http_js_module.so'));
  const module = modules.find((file) => existsSync(file));
  if (!module && !/--add-module=\S*njs/.test(build)) return undefined;
  const has = (name: string) => build.includes(`--with-http_${name}_module`);
  return { nginx, module, counts: has('stub_status'), seeks: SEEKING_MODULES.filter(has) };
}
