import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { assertUnavailable, listen, startReader } from '../helpers/fake-peer.js';
import { TestNode } from '../helpers/node.js';
import { madeUpId, type Other, writeCluster } from '../helpers/readers.js';

// Seen to fail (503) with every miss sent to @fidfs_elsewhere, and with 503 for each file that no node that is up may have.
t.test('a group of one node: what is not here is 404, whatever is known of others', async (t) => {
  const reader = await startReader(t, [{ id: 4, group: 'group2', url: 'http://127.0.0.1:1' }]);
  writeCluster(reader, '{');
  assertProblem(t, await reader.get(madeUpId()), 404, 'not-found', 'unknown');
  assertProblem(t, await reader.get(`${madeUpId()}?download=x`), 404, 'not-found', 'with a name');
  assertUnavailable(t, await reader.get(madeUpId({ group: 'group2' })), 'another group');
});

t.test('peers with https are known by their certificates', async (t) => {
  const node = await TestNode.create(t);
  const [key, certificate] = ['key', 'certificate'].map((name) => join(node.directory, `${name}.pem`)) as [
    string,
    string,
  ];
  const names = 'subjectAltName=DNS:peer.example.test';
  const words = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=peer', '-addext', names];
  execFileSync('openssl', [...words, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  const hosts: (string | undefined)[] = [];
  const pair = { key: readFileSync(key), cert: readFileSync(certificate) };
  const server = createServer(pair, (asked, response) => {
    hosts.push(asked.headers.host);
    response.writeHead(200, { 'content-length': 4 }).end('over');
  });
  const port = await listen(t, server);
  const origin = `https://127.0.0.1:${port}`;
  const right: Other = { id: 1, group: 'group2', url: `https://peer.example.test:${port}`, origin };
  const wrong: Other = { id: 2, group: 'group3', url: `https://other.example.test:${port}`, origin };
  const reader = await startReader(t, [right, wrong], { SSL_CERT_FILE: certificate });

  // Seen to fail with another proxy_ssl_name.
  const answer = await reader.get(madeUpId({ group: 'group2' }));
  t.equal(answer.body.toString(), 'over');
  t.strictSame(hosts, [`peer.example.test:${port}`]);
  // Seen to fail (200) without proxy_ssl_verify.
  assertUnavailable(t, await reader.get(madeUpId({ group: 'group3' })), 'the name of another');
  t.equal(hosts.length, 1, 'it got no request');

  const stranger = await startReader(t, [right], { SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt' });
  assertUnavailable(t, await stranger.get(madeUpId({ group: 'group2' })), 'a certificate that nobody vouches for');
});
