import { chmodSync, chownSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Test, test } from 'tap';
import { LONGEST_STOP_SECONDS } from '../../daemon/cli/start.js';
import { loadSettings } from '../../daemon/config/settings.js';
import { holds, ready } from '../helpers/cluster.js';
import {
  containerEnvironment,
  type KubernetesObject,
  mistakesIn,
  type PodSpec,
  readManifest,
  settingsOf,
} from '../helpers/manifest.js';
import { TestNode } from '../helpers/node.js';
import { cannotRunAsOthers } from '../helpers/programs.js';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const objects = readManifest('deploy/kubernetes/fidfs.yaml');
const secrets = { 'fidfs/key': 'test-key-0123456789abcdef', 'fidfs/peer-secret': 'peer-secret-0123456789' };

interface StatefulSet extends KubernetesObject {
  spec: { replicas: number; serviceName: string; podManagementPolicy: string; template: { spec: PodSpec } };
}

interface Service extends KubernetesObject {
  metadata: { name: string };
  spec: { publishNotReadyAddresses?: boolean; ports: [{ port: number; targetPort: string }] };
}

const services = objects.filter(({ kind }) => kind === 'Service') as Service[];
const set = objects.find(({ kind }) => kind === 'StatefulSet') as StatefulSet;
const pod = set.spec.template.spec;
const [container] = pod.containers;

/** What a node in a pod of the set has for settings; `nodes` in the place of NODES. */
function settingsIn(ordinal: number, nodes?: string): Record<string, string> {
  const names = services.map(({ metadata }) => metadata.name);
  const environment = containerEnvironment(pod, `fidfs-${ordinal}`, secrets, names);
  return settingsOf(pod, nodes === undefined ? environment : { ...environment, NODES: nodes });
}

function nodesOf(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i + 1}@group1=http://fidfs-${i}.fidfs-nodes:8080`).join(' ');
}

/** Nodes with the settings that pods would have, but for addresses and directories; as the user of the pods, where root runs the tests. */
async function createNodes(t: Test, settings: readonly Record<string, string>[]): Promise<TestNode[]> {
  const { runAsUser: uid, runAsGroup: gid } = pod.securityContext;
  const user = cannotRunAsOthers() === false ? { uid, gid } : undefined;
  const nodes: TestNode[] = [];
  for (const one of settings) {
    const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
    t.teardown(() => rm(directory, { recursive: true, force: true }));
    if (user) {
      chownSync(directory, uid, gid);
      chmodSync(directory, 0o700);
    }
    nodes.push(await TestNode.create(t, { directory, env: one, ...(user ? { user } : {}) }));
  }
  for (const [ordinal, node] of nodes.entries()) {
    const own = settings[ordinal] as Record<string, string>;
    const peers = (own.FIDFS_PEERS ?? '').replaceAll(/http:\/\/fidfs-(\d)\.fidfs-nodes:8080/g, (_, other) => {
      return (nodes[Number(other)] as TestNode).origin;
    });
    node.configure({
      ...{ FIDFS_PEERS: peers, FIDFS_LISTEN: `127.0.0.1:${node.port}` },
      FIDFS_DATA: join(node.directory, own.FIDFS_DATA as string),
    });
  }
  return nodes;
}

test('the manifest is one that Kubernetes takes, with no field that it does not know', async (t) => {
  t.strictSame(
    objects.map(({ kind }) => kind),
    ['Service', 'Service', 'PodDisruptionBudget', 'StatefulSet'],
  );
  for (const object of objects) t.strictSame(await mistakesIn(object), [], object.kind);

  const misspelt = structuredClone(set);
  Object.assign(misspelt.spec.template.spec, { enableServiceLink: false });
  t.match(await mistakesIn(misspelt), [/enableServiceLink/]);
  const wrong = structuredClone(set);
  wrong.spec.podManagementPolicy = 'AllAtOnce';
  t.match(await mistakesIn(wrong), [/AllAtOnce/, /podManagementPolicy/]);
});

test('each pod has the settings of a node of its own, whose peers are the others', (t) => {
  const [headless] = services as [Service];
  const port = container.ports.find(({ name }) => name === headless.spec.ports[0].targetPort)?.containerPort;
  const addresses = [0, 1, 2].map((other) => `http://fidfs-${other}.${set.spec.serviceName}:${port}`);
  t.equal(headless.metadata.name, set.spec.serviceName);
  t.equal(set.spec.replicas, 3);
  for (const ordinal of [0, 1, 2]) {
    // Seen to fail with enableServiceLinks: FIDFS_SERVICE_HOST is no setting.
    const settings = loadSettings(undefined, settingsIn(ordinal));
    t.match(settings, { serverId: ordinal + 1, group: 'group1', copies: 2, listen: { host: '0.0.0.0', port } });
    const peers = addresses.map((url, other) => ({ id: other + 1, group: 'group1', url }));
    t.strictSame(
      settings.peers,
      peers.filter((_, other) => other !== ordinal),
    );
  }
  // Seen to fail without the check in the command: the pod has the default server id, 1, which is that of another pod.
  t.throws(() => settingsIn(3), /NODES names no pod fidfs-3/);
  const many = loadSettings(undefined, settingsIn(1, nodesOf(12)));
  t.equal(many.serverId, 2, 'and not that of fidfs-11');
  const groups = '1@a=http://fidfs-0.fidfs-nodes:8080 2@b=http://other-0.other-nodes:8080';
  t.match(loadSettings(undefined, settingsIn(0, groups)), { group: 'a', peers: [{ id: 2, group: 'b' }], copies: 1 });
  t.end();
});

test('three nodes with these settings become one group; each is ready only when it has heard of another', async (t) => {
  const nodes = await createNodes(
    t,
    [0, 1, 2].map((ordinal) => settingsIn(ordinal)),
  );
  const [first, , third] = nodes as [TestNode, TestNode, TestNode];
  await first.start();
  const { startupProbe, livenessProbe, readinessProbe } = container;
  for (const { httpGet } of [startupProbe, livenessProbe]) t.equal((await first.get(httpGet.path)).status, 200);
  // So pods must be started at the same time, and found before they are ready.
  t.equal((await first.get(readinessProbe.httpGet.path)).status, 503);
  t.equal(set.spec.podManagementPolicy, 'Parallel');
  t.equal(services[0]?.spec.publishNotReadyAddresses, true);
  await Promise.all(nodes.slice(1).map((node) => node.start()));
  for (const node of nodes) {
    await ready(node);
    t.equal((await node.get(readinessProbe.httpGet.path)).status, 200);
  }
  const { id, copies } = await first.upload(Buffer.from('from a pod'));
  t.equal(copies, 2);
  t.equal(String((await third.get(id)).body), 'from a pod');
});

test('a group is scaled by NODES first: the nodes that are there stay ready, and the new one becomes so', async (t) => {
  const nodes = await createNodes(
    t,
    [0, 1, 2, 3].map((ordinal) => settingsIn(ordinal, nodesOf(4))),
  );
  const [first, , , fourth] = nodes as [TestNode, TestNode, TestNode, TestNode];
  const before = nodes.slice(0, 3);
  await Promise.all(before.map((node) => node.start()));
  for (const node of before) await ready(node);
  const { id } = await first.upload(Buffer.from('before the fourth'));
  await fourth.start();
  await ready(fourth);
  await holds(fourth, [id]);
});

test('a pod is killed later than a node takes to stop', (t) => {
  const [, before] = container.lifecycle.preStop.exec.command;
  // Seen to fail with the 30 seconds of Kubernetes.
  t.ok(pod.terminationGracePeriodSeconds > Number(before) + LONGEST_STOP_SECONDS);
  const compose = readFileSync(join(PROJECT, 'docker-compose.yml'), 'utf8');
  t.ok(Number(/stop_grace_period: (\d+)s/.exec(compose)?.[1]) > LONGEST_STOP_SECONDS, 'a container neither');
  t.end();
});

test('the secret is made by the command of the documentation, with the names of the manifest', (t) => {
  const documentation = readFileSync(join(PROJECT, 'docs/kubernetes.md'), 'utf8').replaceAll('\\\n', ' ');
  const [, name, rest = ''] = /kubectl create secret generic (\S+) (.*)/.exec(documentation) ?? [];
  const keys = [...rest.matchAll(/--from-literal=([\w-]+)=/g)].map(([, key]) => `${name}/${key}`);
  const wanted = container.env.flatMap(({ valueFrom }) => {
    const reference = valueFrom?.secretKeyRef;
    return reference ? [`${reference.name}/${reference.key}`] : [];
  });
  t.strictSame(keys.sort(), wanted.sort());
  t.end();
});

test('the image has the version of the program, and is started as it starts itself', (t) => {
  const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { version: string };
  t.equal(container.image, `fidfs:${version}`);
  const dockerfile = readFileSync(join(PROJECT, 'Dockerfile'), 'utf8');
  const words = ['ENTRYPOINT', 'CMD'].flatMap((name) => {
    const [line = '[]'] = new RegExp(`(?<=^${name} )\\[.*\\]$`, 'm').exec(dockerfile) ?? [];
    return JSON.parse(line) as string[];
  });
  t.equal(container.args[0].trimEnd().split('\n').at(-1), `exec ${words.join(' ')}`);
  t.end();
});
