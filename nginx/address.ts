/**
 * Makes `proxy_pass` forward the normalised URI by which nginx chose the location: decoded, with dot segments and double
 * slashes resolved, then escaped again. Without it nginx forwards the client's spelling, which another parser may interpret
 * differently. The query string is unchanged. `break` ends rewriting in the location, so this must follow every `if`.
 */
export const NORMALISED = 'rewrite ^ $uri break;';
