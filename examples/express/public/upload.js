// Sends the chosen files straight to fidfs, with a token of the application.
import { Fidfs } from 'fidfs-client';

const input = document.querySelector('#direct');
const progress = document.querySelector('#progress');
const message = document.querySelector('#message');

async function send(files) {
  const answer = await fetch('/token', { method: 'POST' });
  const { servers, token } = await answer.json();
  // In one request: resumable uploads need tus-js-client, which a bundler includes.
  const fidfs = new Fidfs({ servers, key: token, resumableFrom: Number.POSITIVE_INFINITY });
  progress.hidden = false;
  for (const file of files) {
    await fidfs.upload(file, {
      onProgress: (sent, size) => {
        progress.max = size;
        progress.value = sent;
      },
    });
  }
}

input.addEventListener('change', async () => {
  try {
    await send(input.files);
    location.reload();
  } catch (error) {
    message.textContent = error.detail || error.message;
  }
});
