/*
 * Runs inside nginx on a miss: chooses a node that may have the file, and redirects to one of the locations of
 * nginx/elsewhere.ts, which answers. No state and no work at top level (see njs/downloads.ts).
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs has no node: prefix
import fs from 'fs';
import fileId from '../file-id/file-id.js';
import marks from './mark.js';

/** The JSON in `$fidfs_here`, written by nginx/elsewhere.ts. */
interface Here {
  /** The server id of this node. */
  id: string;
  /** Its group; only for files of this group the daemon has tombstones. */
  group: string;
  /** Path of the directory with a file for each group, which the daemon writes. */
  cluster: string;
  readKey: string;
  /** Whether this node has checked the token of FastDFS, which the peer then does not need. */
  stripsTokens: boolean;
}

/**
 * The peers of one group in the settings, by server id: the JSON in `$fidfs_members` once `$fidfs_of_group` is set. `upstream`: scheme and
 * name of nginx's `upstream` for the peer, if there is one.
 */
interface Members {
  [id: string]: { upstream?: string };
}

/** A node in the file of its group. */
interface ClusterNode {
  /** Scheme, address and port. */
  origin: string;
  /** Host, with the port if any, in the settings. */
  host: string;
  /** Whether it serves files. */
  up: boolean;
  /** Whether its daemon is up, so that it receives deletions. */
  well: boolean;
}

/** The requested file. */
interface Wanted {
  id: string;
  group: string;
  /** The server id of its source; empty if the ID contains an IP address instead. */
  source: string;
}

/** The nodes that may have a file. */
interface Candidates {
  here: Here;
  members: Members;
  id: string;
  /** Server ids of the peers in the file's group; its source first. */
  all: string[];
  /** Those of `all` that are up; those whose daemon is down last. */
  up: string[];
  nodes: { [id: string]: ClusterNode };
}

/** Returns the peers of a group; none if it is not a group of the cluster. Called with one group for each request. */
function membersOf(r: NginxHTTPRequest, group: string): Members {
  r.variables.fidfs_of_group = group;
  return JSON.parse(r.variables.fidfs_members as string);
}

function here(r: NginxHTTPRequest): Here {
  return JSON.parse(r.variables.fidfs_here as string);
}

/** Returns the requested file; undefined if the ID is not valid. */
function wanted(r: NginxHTTPRequest): Wanted | undefined {
  // $fidfs_uri is the URI before a rewrite to an internal location.
  const id = (r.variables.fidfs_uri || r.uri).substring(1);
  try {
    // An ID has one spelling only, so a decodable one can be forwarded unchanged.
    const { group, source } = fileId.decode(id);
    return { id: id, group: group, source: 'serverId' in source ? String(source.serverId) : '' };
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    return undefined;
  }
}

/** Reads the file of a group, or its second copy if it is corrupt. Returns the nodes by server id; none if both are unreadable. */
function readCluster(r: NginxHTTPRequest, directory: string, group: string): { [id: string]: ClusterNode } {
  const path = `${directory}/${group}.json`;
  return readNodes(r, path) || readNodes(r, `${path}.last`) || {};
}

function readNodes(r: NginxHTTPRequest, path: string): { [id: string]: ClusterNode } | undefined {
  try {
    const { version, nodes } = JSON.parse(fs.readFileSync(path, 'utf8'));
    const isKnown = version === 2;
    if (isKnown && typeof nodes === 'object' && nodes !== null) return nodes;
    r.error(
      `fidfs: ${path} ${isKnown ? 'names no nodes' : `has version ${version}, this nginx knows 2; reload nginx`}`,
    );
  } catch (error) {
    r.error(`fidfs: cannot read ${path}, which says where other nodes are: ${(error as Error).message}`);
  }
  return undefined;
}

/** Starts from the peers in the settings, because a node that is not (yet) in the file of the group may have the file, too. */
function candidatesOf(r: NginxHTTPRequest, settings: Here, file: Wanted): Candidates {
  const members = membersOf(r, file.group);
  const ids = Object.keys(members);
  const isSource = (peer: string) => peer === file.source;
  const all = ids.filter(isSource).concat(ids.filter((peer) => !isSource(peer)));
  const nodes = all.length === 0 ? {} : readCluster(r, settings.cluster, file.group);
  const up = all.filter((peer) => {
    const node = nodes[peer];
    return node?.up === true && typeof node.origin === 'string' && typeof node.host === 'string';
  });
  const isWell = (peer: string) => nodes[peer]?.well !== false;
  const inOrder = up.filter(isWell).concat(up.filter((peer) => !isWell(peer)));
  return { here: settings, members: members, id: file.id, all: all, up: inOrder, nodes: nodes };
}

/** Returns the address and the HMAC for a node, from the settings and the file of the group only; nothing comes from the client. */
function wayTo(candidates: Candidates, peer: string): { origin: string; host: string; name: string; hmac: string } {
  const settings = candidates.here;
  const { origin, host } = candidates.nodes[peer] as ClusterNode;
  return {
    origin: candidates.members[peer]?.upstream || origin,
    host: host,
    name: host.replace(/:\d+$/, ''),
    hmac: marks.hmac(settings.readKey, candidates.id, settings.id, peer),
  };
}

/** Returns the query for a peer, with its question mark. */
function argsFor(args: string, stripsTokens: boolean): string {
  const kept = stripsTokens
    ? args
        .split('&')
        .filter((arg) => !/^(?:token|ts)(?:=|$)/i.test(arg))
        .join('&')
    : args;
  return kept === '' ? '' : `?${kept}`;
}

/** Returns the location that proxies to the first node, or to the one that has the file: of the file itself, or of its picture. */
function locationOf(r: NginxHTTPRequest, step: 'peer' | 'holder'): string {
  return r.variables.fidfs_preset ? `@fidfs_picture_${step}` : `@fidfs_${step}`;
}

/** Sets the variables of a location that proxies to a peer; returns the location. */
function passTo(r: NginxHTTPRequest, candidates: Candidates, peer: string, location: string): string {
  const way = wayTo(candidates, peer);
  r.variables.fidfs_id = candidates.id;
  r.variables.fidfs_peer = peer;
  r.variables.fidfs_origin = way.origin;
  r.variables.fidfs_host = way.host;
  r.variables.fidfs_name = way.name;
  r.variables.fidfs_hmac = way.hmac;
  r.variables.fidfs_args = argsFor(r.variables.args || '', candidates.here.stripsTokens);
  return location;
}

/** Returns the location for a miss without a tombstone on this node. */
function firstStep(r: NginxHTTPRequest, settings: Here, file: Wanted): string {
  const mark = r.headersIn['X-Fidfs-Peer'];
  if (mark) {
    // A peer asks only nodes of the file's group.
    const known = [settings.id].concat(Object.keys(membersOf(r, file.group)));
    const receiver = marks.receiverOf(mark, settings.readKey, file.id, known);
    // Forwarded by a peer, which asks for a file on this node's own disks only.
    if (receiver === settings.id) return '@fidfs_not_here';
    if (receiver !== undefined) {
      // Not forwarded again: two such wrong settings would form a loop.
      r.error(`fidfs: ${r.remoteAddress} sent here what is for node ${receiver}: the url in one of its peers is wrong`);
      return '@fidfs_unreached';
    }
  }
  const candidates = candidatesOf(r, settings, file);
  if (candidates.all.length === 0) return '@fidfs_not_here';
  if (candidates.up.length === 0) return '@fidfs_unreached';
  return passTo(r, candidates, candidates.up[0] as string, locationOf(r, 'peer'));
}

/**
 * `@fidfs_elsewhere`: forwards the request to the node that most likely has the file, its source. Answers 404 if this node's
 * daemon has a tombstone: a node whose daemon is down has not received the deletion, and its nginx would still send the file.
 * If this node's daemon does not answer, the request is forwarded.
 */
function ask(r: NginxHTTPRequest): void {
  const file = wanted(r);
  const settings = here(r);
  if (!file) {
    r.internalRedirect('@fidfs_404');
  } else if (file.group !== settings.group) {
    r.internalRedirect(firstStep(r, settings, file));
  } else {
    r.variables.fidfs_id = file.id;
    r.subrequest('/.fidfs/deleted').then((answer) => {
      // The header X-Fidfs-Deleted makes a forwarding peer stop asking other nodes.
      const deleted = r.headersIn['X-Fidfs-Peer'] ? '@fidfs_deleted' : '@fidfs_404';
      r.internalRedirect(answer.status === 204 ? deleted : firstStep(r, settings, file));
    });
  }
}

/** Returns the location for the header of a peer whose group's files need a signed link; undefined without that header. */
function refusalOf(header: string | undefined): string | undefined {
  if (header === 'not-signed') return '@fidfs_not_signed';
  return header === 'link-expired' ? '@fidfs_link_expired' : undefined;
}

/** Returns the parts of the query that are for the node of a group whose files need a signed link, with the question mark. */
function linkArgs(args: string): string {
  const kept = args.split('&').filter((arg) => /^(?:expires|signature|download|filename)(?:=|$)/i.test(arg));
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

/**
 * `@fidfs_others`, after the first node did not send the file: sends HEAD to all other nodes in parallel, and forwards the
 * request to one that has the file.
 */
function askOthers(r: NginxHTTPRequest): void {
  if (r.variables.upstream_http_x_fidfs_deleted) {
    r.internalRedirect('@fidfs_404');
    return;
  }
  const refused = refusalOf(r.variables.upstream_http_x_fidfs_refused);
  if (refused !== undefined) {
    r.internalRedirect(refused);
    return;
  }
  const candidates = candidatesOf(r, here(r), wanted(r) as Wanted);
  const first = r.variables.fidfs_peer as string;
  const others = candidates.up.filter((peer) => peer !== first);
  const unasked = candidates.all.filter((peer) => peer !== first).length - others.length;
  r.variables.fidfs_link_args = linkArgs(r.variables.args || '');
  const heads = others.map((peer) => {
    const way = wayTo(candidates, peer);
    // As arguments, because all subrequests share the js_var variables.
    const args = `origin=${way.origin}&host=${way.host}&name=${way.name}&hmac=${way.hmac}`;
    return r.subrequest('/.fidfs/ask', { method: 'HEAD', args: args });
  });
  Promise.all(heads).then((answers) => {
    if (answers.some((answer) => answer.headersOut['X-Fidfs-Deleted'])) return r.internalRedirect('@fidfs_404');
    const refusals = answers.map((answer) => refusalOf(answer.headersOut['X-Fidfs-Refused'] as string | undefined));
    const refused = refusals.filter((location) => location !== undefined)[0];
    if (refused !== undefined) return r.internalRedirect(refused);
    const holder = others.filter((_, number) => answers[number]?.status === 200)[0];
    if (holder !== undefined) return r.internalRedirect(passTo(r, candidates, holder, locationOf(r, 'holder')));
    // The last status: there are several if nginx retried on a new connection.
    const firstHasNot = /\b404$/.test(r.variables.upstream_status || '');
    const nobodyHas = firstHasNot && unasked === 0 && answers.every((answer) => answer.status === 404);
    r.internalRedirect(nobodyHas ? '@fidfs_not_here' : '@fidfs_unreached');
  });
}

/**
 * `@fidfs_newest`: forwards the request for an appender to the node that changes it, if that is another one and up; otherwise this node
 * sends what it has. The node that changes a file is its source, or, if no node of the group is the source, that with the least id.
 */
function newest(r: NginxHTTPRequest): void {
  const file = wanted(r) as Wanted;
  const settings = here(r);
  const candidates = candidatesOf(r, settings, file);
  const ids = [settings.id].concat(candidates.all);
  const isOfGroup = ids.indexOf(file.source) >= 0;
  const changer = isOfGroup ? file.source : ids.sort((one, other) => Number(one) - Number(other))[0];
  // A marked request comes from a node, which asks for a file on this node's own disks.
  const passes = changer !== undefined && candidates.up.indexOf(changer) >= 0 && !r.headersIn['X-Fidfs-Peer'];
  r.internalRedirect(passes ? passTo(r, candidates, changer, '@fidfs_changer') : '@fidfs_appender_here');
}

/** Returns the node on which the requested resumable upload was created; undefined if it is not up. */
function beginner(r: NginxHTTPRequest): ClusterNode | undefined {
  const node = readCluster(r, here(r).cluster, r.variables.fidfs_tus_group as string)[r.variables.fidfs_tus as string];
  return node?.up === true && typeof node.origin === 'string' && typeof node.host === 'string' ? node : undefined;
}

/** `$fidfs_tus_origin`: scheme and address of that node; empty if it is not up. */
function tusOrigin(r: NginxHTTPRequest): string {
  const node = beginner(r);
  const upstream = membersOf(r, r.variables.fidfs_tus_group as string)[r.variables.fidfs_tus as string]?.upstream;
  return node ? upstream || node.origin : '';
}

/** `$fidfs_tus_host`: host name of that node, with the port if any; empty if it is not up. */
function tusHost(r: NginxHTTPRequest): string {
  return beginner(r)?.host || '';
}

export default { ask: ask, askOthers: askOthers, newest: newest, tusOrigin: tusOrigin, tusHost: tusHost };
