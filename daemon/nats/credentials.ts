import { readFileSync } from 'node:fs';
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  nkeys,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';

/** Whether a text is the seed of an NKey, such as `nsc` and `nk` make. */
function isSeed(text: string): boolean {
  try {
    nkeys.fromSeed(new TextEncoder().encode(text)).clear();
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns what authenticates with the content of a credentials file: a `.creds` file (JWT and seed), or one line: the seed of an NKey,
 * `user:password`, or a token. Throws if the content is none of them; the message does not contain it.
 */
function authenticatorOf(text: string): Authenticator {
  if (text.includes('-----BEGIN NATS USER JWT-----')) return credsAuthenticator(new TextEncoder().encode(text));
  const line = text.trim();
  if (line === '' || /\s/.test(line)) {
    throw new Error('it must be a .creds file, or one line: user:password, a token or the seed of an NKey');
  }
  if (isSeed(line)) return nkeyAuthenticator(new TextEncoder().encode(line));
  const colon = line.indexOf(':');
  if (colon < 0) return tokenAuthenticator(line);
  return usernamePasswordAuthenticator(line.slice(0, colon), line.slice(colon + 1));
}

/**
 * Creates an authenticator that reads a credentials file for each connection, so that the file can be replaced while the node runs.
 * Throws if the file cannot be read or is not valid now.
 */
export function fileAuthenticator(file: string): Authenticator {
  const read = () => {
    try {
      return authenticatorOf(readFileSync(file, 'utf8'));
    } catch (error) {
      throw new Error(`natsCredentials: ${file}: ${(error as Error).message}`, { cause: error });
    }
  };
  read();
  return (nonce) => read()(nonce);
}
