/*
 * What runs inside nginx for a file that is not on this disk: who else may have it. It answers nothing by itself: it
 * sends the request on to one of the locations of nginx/elsewhere.ts. No state and no work at top level, as everywhere.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs knows no other name
import fs from 'fs';
import fileId from '../file-id/file-id.js';
import marks from './mark.js';

/** What nginx/elsewhere.ts writes into `$fidfs_here`. */
interface Here {
  /** The server id of this node. */
  id: string;
  /** Its group: of the files of that it knows which were deleted. */
  group: string;
  /** Where the daemon writes cluster.json. */
  cluster: string;
  readKey: string;
  /** Every other node of the settings, by server id; `upstream` where nginx has one for it. */
  peers: { [id: string]: { group: string; upstream?: string } };
}

/** A node in cluster.json. */
interface ClusterNode {
  /** Scheme, address and port. */
  origin: string;
  /** What it is called in the settings. */
  host: string;
  /** Whether it serves files. */
  up: boolean;
  /** Whether its daemon is there, too, and so hears of deletions; a daemon of an earlier version does not say. */
  well?: boolean;
}

/** A file that others may have. */
interface Wanted {
  id: string;
  group: string;
  /** The server id of its source; empty when that was an address. */
  source: string;
}

/** Who may have a file. */
interface Candidates {
  here: Here;
  id: string;
  /** Server ids: the source of the file first. */
  all: string[];
  /** Those of them that can be asked, the ones without a daemon last. */
  up: string[];
  nodes: { [id: string]: ClusterNode };
}

function here(r: NginxHTTPRequest): Here {
  return JSON.parse(r.variables.fidfs_here as string);
}

/** The file that the request is for; undefined when nobody can have it. */
function wanted(r: NginxHTTPRequest): Wanted | undefined {
  // $fidfs_uri is the address before it was rewritten to one of ours, which no client can ask for.
  const id = (r.variables.fidfs_uri || r.uri).substring(1);
  try {
    // An ID has one spelling only: what can be decoded is fit to be passed on as it is.
    const { group, kind, source } = fileId.decode(id);
    if (kind === 'trunk') return undefined;
    return { id: id, group: group, source: 'serverId' in source ? String(source.serverId) : '' };
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    return undefined;
  }
}

/** Who is where, as the daemon last knew. What is missing there cannot be asked. A torn file has a second copy. */
function readCluster(r: NginxHTTPRequest, path: string): { [id: string]: ClusterNode } {
  return readNodes(r, path) || readNodes(r, `${path}.last`) || {};
}

function readNodes(r: NginxHTTPRequest, path: string): { [id: string]: ClusterNode } | undefined {
  try {
    const { version, nodes } = JSON.parse(fs.readFileSync(path, 'utf8'));
    // A daemon of fidfs 0.1 writes no version.
    const isKnown = version === undefined || version === 1;
    if (isKnown && typeof nodes === 'object' && nodes !== null) return nodes;
    r.error(
      `fidfs: ${path} ${isKnown ? 'names no nodes' : `has version ${version}, this nginx knows 1; reload nginx`}`,
    );
  } catch (error) {
    r.error(`fidfs: cannot read ${path}, which says where other nodes are: ${(error as Error).message}`);
  }
  return undefined;
}

/** The nodes of the settings, because those that cluster.json does not know (yet) may have the file all the same. */
function candidatesOf(r: NginxHTTPRequest, settings: Here, file: Wanted): Candidates {
  const members = Object.keys(settings.peers).filter((peer) => settings.peers[peer]?.group === file.group);
  const isSource = (peer: string) => peer === file.source;
  const all = members.filter(isSource).concat(members.filter((peer) => !isSource(peer)));
  const nodes = all.length === 0 ? {} : readCluster(r, settings.cluster);
  const up = all.filter((peer) => {
    const node = nodes[peer];
    return node?.up === true && typeof node.origin === 'string' && typeof node.host === 'string';
  });
  const isWell = (peer: string) => nodes[peer]?.well !== false;
  const inOrder = up.filter(isWell).concat(up.filter((peer) => !isWell(peer)));
  return { here: settings, id: file.id, all: all, up: inOrder, nodes: nodes };
}

/** How a node is reached, from the settings and cluster.json alone: no word of it is the client's. */
function wayTo(candidates: Candidates, peer: string): { origin: string; host: string; name: string; hmac: string } {
  const settings = candidates.here;
  const { origin, host } = candidates.nodes[peer] as ClusterNode;
  return {
    origin: settings.peers[peer]?.upstream || origin,
    host: host,
    name: host.replace(/:\d+$/, ''),
    hmac: marks.hmac(settings.readKey, candidates.id, settings.id, peer),
  };
}

/** Prepares the variables for a location that passes the request to this node; returns the location. */
function passTo(r: NginxHTTPRequest, candidates: Candidates, peer: string, location: string): string {
  const way = wayTo(candidates, peer);
  r.variables.fidfs_id = candidates.id;
  r.variables.fidfs_peer = peer;
  r.variables.fidfs_origin = way.origin;
  r.variables.fidfs_host = way.host;
  r.variables.fidfs_name = way.name;
  r.variables.fidfs_hmac = way.hmac;
  return location;
}

/** Where a request goes whose file is not here, and was not deleted as far as this node knows. */
function firstStep(r: NginxHTTPRequest, settings: Here, file: Wanted): string {
  const mark = r.headersIn['X-Fidfs-Peer'];
  if (mark) {
    const known = [settings.id].concat(Object.keys(settings.peers));
    const receiver = marks.receiverOf(mark, settings.readKey, file.id, known);
    // Passed on already: what is on this disk is all that the sender wants to know.
    if (receiver === settings.id) return '@fidfs_not_here';
    if (receiver !== undefined) {
      // Not passed on a second time either: two such mistakes would make a circle.
      r.error(`fidfs: ${r.remoteAddress} sent here what is for node ${receiver}: the url in one of its peers is wrong`);
      return '@fidfs_unreached';
    }
  }
  const candidates = candidatesOf(r, settings, file);
  if (candidates.all.length === 0) return '@fidfs_not_here';
  if (candidates.up.length === 0) return '@fidfs_unreached';
  return passTo(r, candidates, candidates.up[0] as string, '@fidfs_peer');
}

/**
 * `@fidfs_elsewhere`: passes the request to the node that most likely has the file. Not where the daemon knows that it was
 * deleted: a node whose daemon is away has not heard of that, and its nginx would still send the file. A daemon that does
 * not answer knows nothing.
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
      // Whoever passed it on need ask nobody else.
      const deleted = r.headersIn['X-Fidfs-Peer'] ? '@fidfs_deleted' : '@fidfs_404';
      r.internalRedirect(answer.status === 204 ? deleted : firstStep(r, settings, file));
    });
  }
}

/**
 * `@fidfs_others`: the first node does not have it, or did not answer. Asks all others at once, and passes the request
 * to one that has it.
 */
function askOthers(r: NginxHTTPRequest): void {
  if (r.variables.upstream_http_x_fidfs_deleted) {
    r.internalRedirect('@fidfs_404');
    return;
  }
  const candidates = candidatesOf(r, here(r), wanted(r) as Wanted);
  const first = r.variables.fidfs_peer as string;
  const others = candidates.up.filter((peer) => peer !== first);
  const unasked = candidates.all.filter((peer) => peer !== first).length - others.length;
  const heads = others.map((peer) => {
    const way = wayTo(candidates, peer);
    // As arguments, because variables of ours are one and the same for all subrequests.
    const args = `origin=${way.origin}&host=${way.host}&name=${way.name}&hmac=${way.hmac}`;
    return r.subrequest('/.fidfs/ask', { method: 'HEAD', args: args });
  });
  Promise.all(heads).then((answers) => {
    if (answers.some((answer) => answer.headersOut['X-Fidfs-Deleted'])) return r.internalRedirect('@fidfs_404');
    const holder = others.filter((_, number) => answers[number]?.status === 200)[0];
    if (holder !== undefined) return r.internalRedirect(passTo(r, candidates, holder, '@fidfs_holder'));
    // The last number: there are several when a kept connection turned out to be closed.
    const firstHasNot = /\b404$/.test(r.variables.upstream_status || '');
    const nobodyHas = firstHasNot && unasked === 0 && answers.every((answer) => answer.status === 404);
    r.internalRedirect(nobodyHas ? '@fidfs_not_here' : '@fidfs_unreached');
  });
}

/** The node that began the upload in pieces which a request is for; undefined when it cannot be asked now. */
function beginner(r: NginxHTTPRequest): ClusterNode | undefined {
  const node = readCluster(r, here(r).cluster)[r.variables.fidfs_tus as string];
  return node?.up === true && typeof node.origin === 'string' && typeof node.host === 'string' ? node : undefined;
}

/** `$fidfs_tus_origin`: where that node is; empty when it cannot be asked now. */
function tusOrigin(r: NginxHTTPRequest): string {
  const node = beginner(r);
  return node ? here(r).peers[r.variables.fidfs_tus as string]?.upstream || node.origin : '';
}

/** `$fidfs_tus_host`: what it is called. */
function tusHost(r: NginxHTTPRequest): string {
  return beginner(r)?.host || '';
}

export default { ask: ask, askOthers: askOthers, tusOrigin: tusOrigin, tusHost: tusHost };
