import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Key, KeyRing } from '../config/key-ring.js';
import type { Right } from '../config/keys.js';
import { daemonSocket, type Settings } from '../config/settings.js';
import type { Metrics } from '../operations/metrics.js';
import { Problem } from '../operations/problems.js';
import { counted } from '../words.js';
import { isAllowedOrigin, isFromOtherSite } from './cross-site.js';
import { type Access, OPEN_ACCESS, setAccess } from './rights/limits.js';
import { BadToken, checkToken, isLikeToken, limitsOf } from './rights/tokens.js';
import { WrongKeys } from './rights/wrong-keys.js';

/** A hook with a callback: an async hook costs each upload a few microseconds more. */
type Hook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void;

/** Header in which nginx sends the address of the client; it overwrites one that the client sends. */
const CLIENT_HEADER = 'x-fidfs-client';

/** What the credentials of a request are found to be. */
type Finding = { key: Key; access: Access; isToken: boolean } | Problem;

/** The settings that authorization depends on. */
type AuthorizationSettings = Pick<Settings, 'uploads' | 'publicUrl' | 'listen' | 'data' | 'corsOrigins'>;

/**
 * Creates the hooks that permit requests by their key. They refuse with a Problem: `no-key`, `wrong-key`, `wrong-token`, `no-right`, or
 * `too-many-wrong-keys`. What a permitted request may do is recorded for `accessOf`.
 */
export class Authorization {
  private readonly wrongKeys = new WrongKeys();
  private readonly accesses = new WeakMap<Key, Access>();
  private readonly isBehindSocket: boolean;

  constructor(
    private readonly keys: KeyRing,
    private readonly settings: AuthorizationSettings,
    private readonly metrics: Pick<Metrics, 'keyRequests' | 'wrongKeys'>,
  ) {
    this.isBehindSocket = daemonSocket(settings) !== undefined;
  }

  /** The hook for routes that need a key with this right. */
  requires(right: Right): Hook {
    return (request, reply, done) =>
      this.find(request, (found) => done(this.decide(request, reply, found, right, false)));
  }

  /**
   * The hook for uploads, which an upload token permits, too. With `"uploads": "open"` it refuses only requests without a right key
   * that a browser sends for a page of another site (`cross-site`), unless its origin is in `corsOrigins`.
   */
  get uploads(): Hook {
    const { uploads, publicUrl, listen, corsOrigins } = this.settings;
    const byKey: Hook = (request, reply, done) =>
      this.find(request, (found) => done(this.decide(request, reply, found, 'upload', true)));
    if (uploads === 'key') return byKey;
    return (request, reply, done) => {
      const isOther =
        !isAllowedOrigin(request.headers, corsOrigins) && isFromOtherSite(request.headers, publicUrl, listen.host);
      if (request.headers.authorization === undefined) {
        done(isOther ? otherSite() : undefined);
        return;
      }
      byKey(request, reply, (problem) => {
        if (problem && isOther) {
          done(isTooMany(problem) ? problem : otherSite());
          return;
        }
        if (problem) {
          reply.removeHeader('www-authenticate').removeHeader('retry-after');
          setAccess(request, OPEN_ACCESS);
        }
        done();
      });
    };
  }

  /** Calls back with what the key or token of a request is; immediately for a key. */
  private find({ headers }: FastifyRequest, found: (finding: Finding) => void): void {
    const given = bearerToken(headers);
    const key = given === undefined ? undefined : this.keys.find(given);
    if (given === undefined) found(noKey(headers));
    else if (key) found({ key, access: this.accessBy(key), isToken: false });
    else if (!isLikeToken(given)) found(wrongKey());
    else {
      checkToken(given, this.keys).then(
        (checked) => found({ ...checked, isToken: true }),
        (error: unknown) =>
          found(error instanceof Problem ? error : new Problem('internal', WENT_WRONG, { cause: error })),
      );
    }
  }

  /** The problem of a request with these credentials; undefined if it is permitted. */
  private decide(
    request: FastifyRequest,
    reply: FastifyReply,
    found: Finding,
    right: Right,
    takesTokens: boolean,
  ): Problem | undefined {
    if (found instanceof Problem) return this.refuse(request, reply, found);
    const { key, access, isToken } = found;
    const client = this.clientOf(request);
    if (client !== undefined) {
      const wait = this.wrongKeys.wait(client);
      if (wait > 0 && !this.wrongKeys.isTrusted(client, key.id)) return tooMany(reply, wait);
      this.wrongKeys.succeeded(client, key.id);
    }
    setAccess(request, access);
    const isPermitted = isToken ? takesTokens : key.may(right);
    if (!isPermitted) {
      reply.header('www-authenticate', `${CHALLENGE}, error="insufficient_scope"`);
      return new Problem(
        'no-right',
        isToken ? ONLY_UPLOADS : `The key "${key.name}" does not have the right "${right}".`,
      );
    }
    this.metrics.keyRequests.inc({ key: key.name, right });
    return undefined;
  }

  private refuse(request: FastifyRequest, reply: FastifyReply, problem: Problem): Problem {
    const isGuess = problem.problem === 'wrong-key' || (problem instanceof BadToken && problem.isGuess);
    const client = this.clientOf(request);
    if (isGuess && client !== undefined) {
      const wait = this.wrongKeys.wait(client);
      if (wait > 0) return tooMany(reply, wait);
      this.wrongKeys.failed(client);
    }
    if (isGuess) this.metrics.wrongKeys.inc();
    // RFC 6750, 3.1: the error code is only for requests with a token.
    if (problem.status === 401)
      reply.header(
        'www-authenticate',
        problem.problem === 'no-key' ? CHALLENGE : `${CHALLENGE}, error="invalid_token"`,
      );
    return problem;
  }

  private accessBy(key: Key): Access {
    const known = this.accesses.get(key);
    if (known) return known;
    const access = { key: key.name, limits: limitsOf(key) };
    this.accesses.set(key, access);
    return access;
  }

  /** The address of the client; undefined if nginx sends none, because its configuration is of an earlier version. */
  private clientOf({ raw }: FastifyRequest): string | undefined {
    const { remoteAddress } = raw.socket;
    // Where nginx uses the Unix socket, what comes by TCP is a program of this machine, whose header counts for nothing.
    if (remoteAddress !== undefined && this.isBehindSocket) return remoteAddress;
    const header = raw.headers[CLIENT_HEADER];
    return typeof header === 'string' ? header : undefined;
  }
}

const CHALLENGE = 'Bearer realm="fidfs"';
const ONLY_UPLOADS = 'An upload token permits uploads only; use a key.';
const WENT_WRONG = 'Something went wrong here; the log says what, under this request.';
const OTHER_SITE =
  'A browser sent this for a page of another site. Send it from a page of the host of this node (or of its publicUrl), or with the key.';

function bearerToken({ authorization }: IncomingHttpHeaders): string | undefined {
  return /^Bearer +([^ ]+)$/i.exec(authorization ?? '')?.[1];
}

function noKey({ authorization }: IncomingHttpHeaders): Problem {
  const fault = authorization ? 'The Authorization header is not "Bearer <key>"' : 'Send "Authorization: Bearer <key>"';
  return new Problem('no-key', `${fault}; "fidfs key" prints the key.`);
}

function wrongKey(): Problem {
  return new Problem(
    'wrong-key',
    'This is not a key of this node; "fidfs key", run on the node, prints its upload key.',
  );
}

function otherSite(): Problem {
  return new Problem('cross-site', OTHER_SITE);
}

function isTooMany(problem: Error): boolean {
  return problem instanceof Problem && problem.problem === 'too-many-wrong-keys';
}

function tooMany(reply: FastifyReply, wait: number): Problem {
  const seconds = Math.ceil(wait / 1000);
  reply.header('retry-after', seconds);
  return new Problem(
    'too-many-wrong-keys',
    `Too many wrong keys came from this address; try again in ${counted(seconds, 'second')}.`,
  );
}
