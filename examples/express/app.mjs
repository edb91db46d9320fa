// The application: shows, takes and deletes pictures that fidfs stores. Settings are environment variables (README.md).
import { fileURLToPath } from 'node:url';
import express from 'express';
import { Fidfs, FidfsError } from 'fidfs-client';
import { page } from './page.mjs';

const {
  FIDFS_URL: servers = 'http://127.0.0.1:8080',
  FIDFS_KEY: key,
  FIDFS_KEY_NAME: keyName,
  PRESET: preset = 'thumb',
  PORT = '3000',
} = process.env;
if (!key) throw new Error('FIDFS_KEY is not set: README.md says how to make the key');

const EXTENSIONS = ['jpg', 'jpeg', 'png', 'gif', 'webp'];
const SHOWN = 100;

const fidfs = new Fidfs({ servers: servers.split(','), key });
const permission = () => fidfs.uploadToken({ keyName, for: '10m', maxSize: 20 * 2 ** 20, types: EXTENSIONS });
/** Stores with a token, so that the server checks size and type of what visitors send. */
const visitor = new Fidfs({ servers: servers.split(','), key: permission });

/** Resolves with the IDs of the latest pictures. An application reads them from its database, and checks whose they are. */
async function latest() {
  const ids = [];
  for await (const { id, ext, kind } of fidfs.list({ pageSize: SHOWN })) {
    if (kind === 'normal' && EXTENSIONS.includes(ext.toLowerCase())) ids.push(id);
    if (ids.length === SHOWN) break;
  }
  return ids;
}

const app = express();
app.disable('x-powered-by');

// A form on a page of another site cannot change anything.
app.use((request, response, next) => {
  const site = request.get('sec-fetch-site') ?? 'same-origin';
  if (request.method === 'GET' || request.method === 'HEAD' || site === 'same-origin') next();
  else response.status(403).send('from another site');
});

app.get('/', async (_request, response) => {
  const pictures = (await latest()).map((id) => ({ id, url: fidfs.url(id), small: fidfs.pictureUrl(preset, id) }));
  response.send(page(pictures));
});

// The body of the form is passed on as it is: fidfs stores each file in it.
app.post('/upload', async (request, response) => {
  const headers = { 'Content-Type': request.get('content-type') ?? '' };
  await visitor.request('/upload', { method: 'POST', body: request, duplex: 'half', headers, timeout: 0 });
  response.redirect(303, '/');
});

// With a token the browser sends its files to fidfs itself.
app.post('/token', async (_request, response) => {
  response.set('cache-control', 'no-store').json({ servers: servers.split(','), token: await permission() });
});

app.post('/delete', express.urlencoded({ extended: false }), async (request, response) => {
  await fidfs.delete(String(request.body?.id));
  response.redirect(303, '/');
});

app.use('/client', express.static(fileURLToPath(new URL('.', import.meta.resolve('fidfs-client')))));
app.use(express.static(fileURLToPath(new URL('public', import.meta.url))));

app.use((error, _request, response, next) => {
  if (response.headersSent) return next(error);
  if (!(error instanceof FidfsError)) console.error(error);
  const isOurs = !(error instanceof FidfsError) || error.status < 400 || error.status === 401;
  response
    .status(isOurs ? 502 : error.status)
    .type('text')
    .send(error.message);
});

app.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}`));
