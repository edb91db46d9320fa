import Uppy from '@uppy/core';
import Dashboard from '@uppy/dashboard';
import Tus from '@uppy/tus';
import '@uppy/core/css/style.min.css';
import '@uppy/dashboard/css/style.min.css';

/** Milliseconds before its end from which a token is not used any more. */
const MARGIN = 60_000;

/** What the application answered last: the token, when it ends (milliseconds since 1970), and the address of the node. */
let permission = { token: '', ends: 0, server: '' };

/** Resolves with a permission that has not ended; asks the application for another one if necessary. */
async function permit() {
  if (permission.ends - Date.now() < MARGIN) {
    const answer = await fetch('./token', { method: 'POST' });
    if (!answer.ok) throw new Error(`no token: ${answer.status}`);
    permission = await answer.json();
  }
  return permission;
}

const { server } = await permit();

const uppy = new Uppy()
  .use(Dashboard, { target: '#uppy', inline: true, note: 'Large files go on where they were interrupted.' })
  .use(Tus, {
    endpoint: `${server}/tus/`,
    chunkSize: 8 * 2 ** 20,
    retryDelays: [0, 1000, 3000, 5000, 10_000],
    // Of Uppy's fields fidfs uses these two, for the extension.
    allowedMetaFields: ['name', 'type'],
    // A large file takes longer than a token is valid: each request has one that has not ended.
    async onBeforeRequest(request) {
      request.setHeader('Authorization', `Bearer ${(await permit()).token}`);
    },
  });

uppy.on('upload-success', (file, { body }) => {
  // The answer that finished the upload. An application sends the ID to its own server, which stores it.
  const link = document.createElement('a');
  link.href = body.xhr.getResponseHeader('Fidfs-Url');
  link.id = body.xhr.getResponseHeader('Fidfs-Id');
  link.textContent = file.name;
  const item = document.createElement('li');
  item.append(link);
  document.querySelector('#stored').append(item);
});

uppy.on('upload-error', (file, error, response) => {
  // fidfs says in its problem document which limit a file exceeds, or why a token is refused.
  let detail = error.message;
  try {
    detail = JSON.parse(response.body.xhr.responseText).detail;
  } catch {
    // No answer, or one of something in between.
  }
  uppy.info(`${file.name}: ${detail}`, 'error', 15_000);
});
