// The application: serves the page, and makes upload tokens for it. Settings are environment variables (README.md).
import { createServer } from 'node:http';
import { SignJWT } from 'jose';
import { build } from 'vite';

const {
  FIDFS_URL: server = 'http://127.0.0.1:8080',
  FIDFS_SIGN_KEY: key,
  FIDFS_SIGN_NAME: name,
  MAX_SIZE = String(2 ** 30),
  TYPES,
  TOKEN_SECONDS = '3600',
  PORT = '3000',
} = process.env;
if (!key) throw new Error('FIDFS_SIGN_KEY is not set: README.md says how to make the key');

/** A token with which a browser may upload, and nothing else. */
async function permission() {
  const ends = Math.floor(Date.now() / 1000) + Number(TOKEN_SECONDS);
  const token = await new SignJWT({ maxSize: Number(MAX_SIZE), ...(TYPES && { types: TYPES.split(',') }) })
    .setProtectedHeader({ alg: 'HS256', ...(name && { kid: name }) })
    .setExpirationTime(ends)
    .sign(new TextEncoder().encode(key));
  return { token, ends: ends * 1000, server };
}

const { output } = await build({ root: import.meta.dirname, base: './', logLevel: 'warn', build: { write: false } });
const files = new Map(output.map((file) => [`/${file.fileName}`, file.type === 'asset' ? file.source : file.code]));
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css' };

createServer(async (request, response) => {
  const path = request.url === '/' ? '/index.html' : request.url;
  // An application first looks here who is logged in, and what they may upload.
  if (path === '/token' && request.method === 'POST') {
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(await permission()));
  } else if (files.has(path)) {
    response.writeHead(200, { 'content-type': types[path.split('.').at(-1)] ?? 'application/octet-stream' });
    response.end(files.get(path));
  } else {
    response.writeHead(404).end();
  }
}).listen(Number(PORT), '127.0.0.1', () =>
  console.log(`http://127.0.0.1:${PORT} (must be in the corsOrigins of the node)`),
);
