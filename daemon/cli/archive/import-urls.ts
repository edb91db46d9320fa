import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { DURATION_WORDS, parseDuration } from '../../config/values.js';
import { extensionOf } from '../../http/extension.js';
import { version } from '../../version.js';
import { linesOf } from '../audit/id-in-line.js';
import { UsedWrongly } from '../errors.js';
import { isStandardInput } from '../input.js';
import { openList } from '../open-list.js';
import { formatBytes } from '../output.js';
import { eachAtOnce, retrying } from './at-once.js';
import { Import, type ImportOptions, SourceFailed } from './importing.js';

const MOST_REDIRECTS = 5;
const CONNECT_MILLISECONDS = 10_000;
const LONGEST_ADDRESS = 2 ** 16;

/** Uploads what the addresses of a list, one a line, lead to, without keeping it here. */
export async function importUrls(list: string, options: ImportOptions): Promise<void> {
  const timeout = parseDuration(options.timeout);
  if (timeout === undefined) throw new UsedWrongly(`--timeout: write ${DURATION_WORDS}`);
  if (options.map === undefined && isStandardInput(list))
    throw new UsedWrongly('--urls -: name the file of new IDs by --map');
  const lines = await openList(list);
  const run = new Import(options.map ?? `${list}.map.csv`, options);
  const source = await Source.open(timeout);
  const underWay = new Set<string>();
  const urls = async function* () {
    for await (const { text } of linesOf(lines, LONGEST_ADDRESS)) {
      const url = text.trim();
      if (url !== '' && !underWay.has(url)) yield url;
    }
  };
  try {
    await run.readMap();
    await eachAtOnce(urls(), run.atOnce, async (url) => {
      underWay.add(url);
      await run.one(url, () => retrying(() => uploadUrl(url, source, run)));
      underWay.delete(url);
    });
    run.end();
  } finally {
    await source.close();
    run.close();
  }
}

async function uploadUrl(text: string, source: Source, { client, settings, options }: Import): Promise<string> {
  const { url, type, content } = await source.get(text, settings.maxFileSize);
  const name = decoded(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
  const group: Record<string, string> = options.group === undefined ? {} : { group: options.group };
  const uploaded = await client.uploadStream(content, name, { query: { ext: extensionOf(name, type), ...group } });
  return uploaded.id;
}

/** Requests to the servers of a list. */
class Source {
  private constructor(
    private readonly request: typeof import('undici').request,
    private readonly dispatcher: Dispatcher,
  ) {}

  /** @param timeout milliseconds without any byte */
  static async open(timeout: number): Promise<Source> {
    const { Agent, interceptors, request } = await import('undici');
    const agent = new Agent({ headersTimeout: timeout, bodyTimeout: timeout, connectTimeout: CONNECT_MILLISECONDS });
    return new Source(request, agent.compose(interceptors.redirect({ maxRedirections: MOST_REDIRECTS })));
  }

  close(): Promise<void> {
    return this.dispatcher.destroy();
  }

  /** Rejects with SourceFailed; so does the content, which has `limit` bytes at most. */
  async get(text: string, limit: number): Promise<{ url: URL; type: string | undefined; content: Readable }> {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) throw new SourceFailed('is not an address with http: or https:', 400);
    if (url.username !== '') throw new SourceFailed('has a user name, which is not sent', 400);
    // What the server would compress has other bytes.
    const headers = { 'accept-encoding': 'identity', 'user-agent': `fidfs/${version}` };
    const answer = await this.request(url, { dispatcher: this.dispatcher, headers }).catch((error: unknown) => {
      throw failure(error);
    });
    const refuse = async (words: string, status: number): Promise<never> => {
      await answer.body.dump().catch(() => undefined);
      throw new SourceFailed(words, status);
    };
    const { statusCode } = answer;
    if (statusCode >= 300 && statusCode < 400) return refuse(`more than ${MOST_REDIRECTS} redirections`, statusCode);
    if (statusCode !== 200) return refuse(`the server answers ${statusCode}`, statusCode);
    if (/[^\s]/.test(header(answer, 'content-encoding') ?? '')) return refuse('is sent compressed', 415);
    if (Number(header(answer, 'content-length')) > limit) return refuse(tooLarge(limit), 413);
    const content = Readable.from(limited(answer.body, limit));
    return { url, type: header(answer, 'content-type'), content };
  }
}

async function* limited(body: AsyncIterable<Buffer>, limit: number): AsyncGenerator<Buffer> {
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > limit) throw new SourceFailed(tooLarge(limit), 413);
      yield chunk;
    }
  } catch (error) {
    throw failure(error);
  }
}

function tooLarge(limit: number): string {
  return `has more than ${formatBytes(limit)} (maxFileSize)`;
}

/** An error of a request that may succeed later, unless its address cannot be used. */
function failure(error: unknown): SourceFailed {
  if (error instanceof SourceFailed) return error;
  const { message, code } = error as NodeJS.ErrnoException;
  if (/^Redirect loop/.test(message)) return new SourceFailed('is redirected to itself', 400, { cause: error });
  return new SourceFailed(message || `${code}`, code === 'UND_ERR_INVALID_ARG' ? 400 : 0, { cause: error });
}

function header({ headers }: Dispatcher.ResponseData, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
