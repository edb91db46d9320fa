/**
 * Returns the directives of a request that a proxy makes by itself: with none of the client's headers, such as Authorization, Cookie, or a
 * read mark that the client has made, and without its body.
 * @param host the value of Host
 */
export function bareRequest(host = 'fidfs'): string {
  return `proxy_http_version 1.1;
  proxy_pass_request_headers off;
  proxy_pass_request_body off;
  proxy_set_header Host ${host};
  proxy_set_header Connection "";
  proxy_set_header Content-Length "";`;
}
