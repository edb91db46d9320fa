/**
 * Passes on the address by which nginx has chosen the location: decoded, its dots and double slashes resolved, and escaped
 * anew. Without it a `proxy_pass` passes on what the client wrote, which another reader may read otherwise. The query stays
 * as it came. It ends the rewriting of its location, so it comes after each `if`.
 */
export const NORMALISED = 'rewrite ^ $uri break;';
