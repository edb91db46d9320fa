import { addressOf } from '../address';
import { authorization, key, refuseKey } from '../key';
import { Failure, failureOf, networkFailure } from './failure';

/** Sends a request to this server, with the key if there is one; `path` has no leading slash. Throws a Failure unless 2xx. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const used = key.peek();
  const headers = { ...authorization(), ...(init.headers as Record<string, string> | undefined) };
  const answer = await fetch(addressOf(path), { ...init, headers, cache: 'no-store' }).catch((error: unknown) => {
    if (init.signal?.aborted) throw error;
    throw networkFailure();
  });
  if (answer.ok) return answer;
  if (answer.status === 401) refuseKey(used);
  const text = await answer.text().catch(() => '');
  throw failureOf(answer.status, text, answer.headers.get('Retry-After'));
}

/** As `request`, with JSON in both directions. The type of the response is not checked. */
export async function requestJson<T>(path: string, init: RequestInit & { json?: unknown } = {}): Promise<T> {
  const { json, ...rest } = init;
  const body =
    json === undefined
      ? {}
      : { method: 'POST', body: JSON.stringify(json), headers: { 'Content-Type': 'application/json' } };
  const answer = await request(path, { ...body, ...rest });
  try {
    return (await answer.json()) as T;
  } catch {
    throw new Failure('unknown', answer.status, '');
  }
}
