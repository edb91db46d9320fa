import fileId from '../file-id/file-id.js';

/** `GET /info/<id>`: answers with the decoded ID as JSON, without disk access; 400 with a problem document if it is not valid. */
function info(r: NginxHTTPRequest): void {
  try {
    const body = JSON.stringify(fileId.describe(r.uri.substring('/info/'.length)));
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, `${body}\n`);
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    r.headersOut['Content-Type'] = 'application/problem+json';
    const message = error.message;
    const detail = `${message.charAt(0).toUpperCase()}${message.substring(1)}.`;
    const problem = { type: 'urn:fidfs:problem:bad-id', title: 'Not a file ID', status: 400, detail: detail };
    r.return(400, `${JSON.stringify(problem)}\n`);
  }
}

export default { info: info };
