import { join } from 'node:path';
import type { Agent, Dispatcher } from 'undici';
import { z } from 'zod';
import { readKey } from '../config/key.js';
import { formatAddress, type Settings } from '../config/settings.js';
import { RequestFailed, UsedWrongly } from './errors.js';
import { reachable } from './processes.js';

/** Timeouts in milliseconds without any progress; the duration of a transfer is not limited. */
const TIMEOUTS = { headersTimeout: 300_000, bodyTimeout: 300_000, connectTimeout: 10_000 };

const problemSchema = z.object({ type: z.string(), title: z.string(), detail: z.string() });

/** What the user should do without the right key. */
const GIVE_KEY =
  'set FIDFS_KEY, or name the data directory of the node (FIDFS_DATA) or its settings file (--config); "fidfs key" with these prints its key';

/** Requests to a node, with the key of the settings; their errors in terms of the command. */
export class Connection {
  /** Where nginx of the node listens, without a slash at the end. */
  readonly origin: string;
  /** Where the daemon of this machine's node listens. */
  readonly daemon: string;

  constructor(
    private readonly settings: Settings,
    server: string | undefined,
  ) {
    this.origin = server === undefined ? `http://${formatAddress(reachable(settings.listen))}` : parseServer(server);
    this.daemon = `http://${formatAddress(reachable(settings.daemonListen))}`;
  }

  /** The headers of a request: with the key, if there is one. */
  headers(others: Record<string, string>): Record<string, string> {
    const key = readKey(this.settings);
    return key === undefined ? others : { ...others, authorization: `Bearer ${key}` };
  }

  /** Sends a request. Rejects with RequestFailed for an answer that is no success, and for none. */
  async send(
    url: string,
    options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>,
  ): Promise<Dispatcher.ResponseData> {
    // Messages name the origin only: the path is the ID, which the user gave.
    const { origin } = new URL(url);
    const answer = await exchange(url, options).catch((error: unknown) => {
      throw new RequestFailed(
        `${origin}: ${(error as Error).message}; is the node running? "fidfs start" starts it`,
        undefined,
        {
          cause: error,
        },
      );
    });
    if (answer.statusCode < 300) return answer;
    const { statusCode } = answer;
    throw new RequestFailed(`${origin}: ${statusCode} ${this.words(await answer.body.text())}`, statusCode);
  }

  /** An error message from an answer, in terms of the command rather than of HTTP. */
  private words(text: string): string {
    const problem = parseProblem(text);
    if (!problem) return text.slice(0, 200); // an answer that is not from fidfs
    const { type, title, detail } = problem;
    if (type.endsWith(':no-key') || type.endsWith(':wrong-key')) return `${title}: ${this.keyError()}; ${GIVE_KEY}`;
    return detail.startsWith(title) ? detail : `${title}: ${detail}`;
  }

  private keyError(): string {
    const { key, data } = this.settings;
    const file = join(data, 'key');
    if (process.env.FIDFS_KEY) return 'FIDFS_KEY is not the key of this node';
    if (key !== undefined) return 'the key in the settings file is not that of this node';
    return readKey(this.settings) === undefined
      ? `FIDFS_KEY is not set, and there is no ${file}`
      : `the key in ${file} is not that of this node`;
  }
}

let agent: Agent | undefined;

/** Imports undici at the first request, because commands that make none, such as `start`, begin sooner without it. */
export async function exchange(
  url: string,
  options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>,
): Promise<Dispatcher.ResponseData> {
  const undici = await import('undici');
  agent ??= new undici.Agent(TIMEOUTS);
  return undici.request(url, { ...options, dispatcher: agent });
}

/** Checks a `--server` URL and removes its trailing slashes. Throws UsedWrongly. */
function parseServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '') return server.replace(/\/+$/, '');
  throw new UsedWrongly(`--server: ${JSON.stringify(server)} is not allowed; write a URL such as http://10.0.0.2:8080`);
}

/** Parses a problem document; undefined if the text is not one. */
function parseProblem(text: string): z.output<typeof problemSchema> | undefined {
  try {
    return problemSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
