import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cpuSeconds } from './processes.js';
import { median } from './table.js';

/** The result of a run: operations per second, and server CPU in microseconds per operation. */
export interface Run {
  rate: number;
  cpu: number;
}

/** A load for wrk: requests, connections, and the processes whose CPU is measured. */
export interface Load {
  origin: string;
  script: string;
  connections: number;
  seconds: number;
  pids: number[];
}

/** Runs wrk once. Rejects if any response is not a success. */
export async function runWrk(load: Load): Promise<Run> {
  // Writes out the dirty pages of earlier loads, which this one must not wait for.
  await promisify(execFile)('sync');
  const words = [
    '-t1',
    `-c${load.connections}`,
    `-d${load.seconds}s`,
    '--timeout',
    '30s',
    '-s',
    load.script,
    load.origin,
  ];
  const before = cpuSeconds(load.pids);
  const { stdout } = await promisify(execFile)('wrk', words);
  const used = cpuSeconds(load.pids) - before;
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk saw errors:\n${stdout}`);
  const operations = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  return { rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]), cpu: (used / operations) * 1e6 };
}

/** Runs the loads alternately, `rounds` times, so that all run under the same conditions; one more run before is a warm-up. */
export async function interleave<Name extends string>(
  loads: Record<Name, Load>,
  rounds: number,
): Promise<Record<Name, Run[]>> {
  const names = Object.keys(loads) as Name[];
  const runs = Object.fromEntries(names.map((name) => [name, [] as Run[]])) as Record<Name, Run[]>;
  for (const name of names) await runWrk(loads[name]);
  for (let round = 0; round < rounds; round++) {
    for (const name of names) runs[name].push(await runWrk(loads[name]));
  }
  return runs;
}

/** The median over the rounds of the quotient of both rates, which cancels noise common to both. */
export function ratio(subject: Run[], reference: Run[]): number {
  return median(subject.map((run, round) => run.rate / (reference[round]?.rate ?? Number.NaN)));
}

/** Writes a wrk script that requests paths in turn; returns its path. */
export function getScript(directory: string, name: string, paths: string[]): string {
  const list = join(directory, `${name}.txt`);
  writeFileSync(list, paths.join('\n'));
  return script(
    directory,
    name,
    `local paths, n = {}, 0
for line in io.lines("${list}") do paths[#paths + 1] = line end
function request() n = n % #paths + 1; return wrk.format("GET", paths[n]) end`,
  );
}

/** Writes a wrk script that sends at most `count` different bodies of the same length; returns its path. */
export function postOnceEachScript(directory: string, name: string, key: string, body: Buffer, count: number): string {
  return sendScript(
    directory,
    name,
    body,
    `wrk.method = "POST"; wrk.path = "/upload?ext=jpg"; wrk.headers["Authorization"] = "Bearer ${key}"
local n, start, body = 0, tostring(os.time()), wrk.body
function request()
  n = n + 1
  if n == ${count} then wrk.thread:stop() end
  local own = start .. "-" .. n .. "-"
  return wrk.format(nil, nil, nil, own .. body:sub(#own + 1))
end`,
  );
}

export interface PostOptions {
  key: string;
  type: string;
  body: Buffer;
  /** Offset of the 24 bytes that differ in each body, so that none is a duplicate; undefined: all bodies are the same. */
  newAt?: number | undefined;
}

/** Writes a wrk script that sends bodies; returns its path. */
export function postScript(directory: string, name: string, { key, type, body, newAt }: PostOptions): string {
  const head = `wrk.method = "POST"; wrk.path = "/upload"
wrk.headers["Authorization"] = "Bearer ${key}"; wrk.headers["Content-Type"] = "${type}"`;
  const renew = `local n, start = 0, os.time()
local before, after = wrk.body:sub(1, ${newAt}), wrk.body:sub(${Number(newAt) + 25})
function request()
  n = n + 1
  return wrk.format(nil, nil, nil, before .. string.format("%d-%013d", start, n) .. after)
end`;
  return sendScript(directory, name, body, newAt === undefined ? head : `${head}\n${renew}`);
}

/** Writes a wrk script that PUTs a body under new names, 100 per directory; returns its path. */
export function davScript(directory: string, name: string, body: Buffer): string {
  return sendScript(
    directory,
    name,
    body,
    `local n, start = 0, tostring(os.time())
function request()
  n = n + 1
  return wrk.format("PUT", "/dav/" .. start .. "-" .. math.floor(n / 100) .. "/" .. n .. ".jpg")
end`,
  );
}

/** Writes a wrk script and the body that it sends; returns the script's path. */
function sendScript(directory: string, name: string, body: Buffer, lua: string): string {
  const file = join(directory, `${name}.body`);
  writeFileSync(file, body);
  return script(
    directory,
    name,
    `local file = io.open("${file}", "rb"); wrk.body = file:read("*a"); file:close()\n${lua}`,
  );
}

function script(directory: string, name: string, lua: string): string {
  const file = join(directory, `${name}.lua`);
  writeFileSync(file, lua);
  return file;
}
