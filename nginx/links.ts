import { readMarkKey } from '../daemon/cluster/read-mark.js';
import { groupPeers, type Settings } from '../daemon/config/settings.js';
import { problemAnswer } from './problem-pages.js';
import { quoted } from './quote.js';

/*
 * Signed links to the files of a group whose `downloads` are `signed`, checked by njs/link-check.ts before a file is looked for, on this
 * node or another.
 */

/** Statuses that nginx does not send: `error_page` maps them to the answers. */
const NOT_SIGNED = 472;
const EXPIRED = 473;

/** Whether the files of this node's group need signed links. */
export function isSigned({ downloads }: Settings): boolean {
  return downloads === 'signed';
}

/** Returns the directives for `http`. */
export function linkHttp(settings: Settings): string {
  if (!isSigned(settings)) return '';
  return `# In the value of a variable it stands for the character.
geo $fidfs_dollar {
  default "$";
}
js_set $fidfs_link_state fidfs.linkState;
js_set $fidfs_picture_link_state fidfs.pictureLinkState;
`;
}

/**
 * Returns the directives of a location of files of this node's group, or of pictures, that check the link; empty if none is needed. They
 * must precede other `if`s.
 */
export function linkGuard(settings: Settings, what: 'file' | 'picture' = 'file'): string {
  if (!isSigned(settings)) return '';
  const state = stateOf(what);
  return `if (${state} = "") { return ${NOT_SIGNED}; }
  if (${state} = expired) { return ${EXPIRED}; }`;
}

/** Names an ID in the regular expression of a location, for the text that njs/signed.ts compares. */
export function linkedId(settings: Settings, id: string): string {
  return isSigned(settings) ? `(?<fidfs_linked_id>${id})` : id;
}

function stateOf(what: 'file' | 'picture'): string {
  return what === 'file' ? '$fidfs_link_state' : '$fidfs_picture_link_state';
}

/** Returns the `error_page` directives that `linkGuard` needs in the same location or around it. */
export function linkErrorPages(settings: Settings): string {
  if (!isSigned(settings)) return '';
  return `error_page ${NOT_SIGNED} = @fidfs_not_signed;
  error_page ${EXPIRED} = @fidfs_link_expired;`;
}

/** The `Cache-Control` of a file or a picture that was found. */
export function cachingOf(settings: Settings, what: 'file' | 'picture' = 'file'): string {
  if (isSigned(settings)) return stateOf(what);
  return `"${settings.fastdfsTokenKey === undefined ? 'public' : 'private'}, max-age=31536000, immutable"`;
}

/** Quotes a secret, whose $ nginx would take for the begin of a variable. */
function secret(text: string): string {
  const parts = text.split('$').map((part) => quoted(part).slice(1, -1));
  return `"${parts.join(`\${fidfs_dollar}`)}"`;
}

/** Returns the settings of the check and the locations of its answers; empty if no node can need them. */
export function linkLocations(settings: Settings): string {
  const { group, serverId, peers, peerSecret = '', downloadKey = [] } = settings;
  if (!isSigned(settings) && peers.length === 0) return '';
  const [first = '', second = ''] = downloadKey;
  const readKey = peers.length > 0 ? readMarkKey(peerSecret) : '';
  const nodes = groupPeers(settings).map(({ id }) => `${id} `);
  // js_var: no log contains the values.
  const values = `js_var $fidfs_link_key ${secret(first)};
js_var $fidfs_link_second_key ${secret(second)};
js_var $fidfs_link_text "fidfs\\n$fidfs_linked_id\\n$fidfs_link_expires\\n\\n";
js_var $fidfs_link_group ${group};
js_var $fidfs_link_server ${serverId};
js_var $fidfs_link_nodes ${quoted(` ${nodes.join('')}`)};
js_var $fidfs_link_read_key ${quoted(readKey)};
`;
  // The header distinguishes the answer of a peer from a 403 for another reason.
  return `${isSigned(settings) ? values : ''}location @fidfs_not_signed {
  add_header Cache-Control no-store always;
  add_header X-Fidfs-Refused not-signed always;
  ${problemAnswer(403, 'not-signed', 'The files of this group are private: the address needs a signature made for it, ?expires=…&signature=….')}
}
location @fidfs_link_expired {
  add_header Cache-Control no-store always;
  add_header X-Fidfs-Refused link-expired always;
  ${problemAnswer(403, 'link-expired', 'The link has expired; the application makes another one.')}
}
`;
}
