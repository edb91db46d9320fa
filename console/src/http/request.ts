import { client, withKey } from './client';
import { Failure } from './failure';

/** Sends a request to this server, with the key if there is one; `path` has no leading slash. Throws a Failure unless 2xx. */
export async function request(path: string, { signal, headers, ...init }: RequestInit = {}): Promise<Response> {
  const all = { ...(headers as Record<string, string> | undefined) };
  const options = { cache: 'no-store', ...init, headers: all, signal: signal ?? undefined } as const;
  return await withKey(() => client.request(`/${path}`, options));
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
