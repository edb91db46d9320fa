import { readFileSync } from 'node:fs';
import t from 'tap';
import fileId from '../../file-id/file-id.js';
import { TestNode } from '../helpers/node.js';

interface Vector {
  fileId: string;
  kind: string;
  group: string;
  storePathIndex: number;
  subdir1: string;
  subdir2: string;
  name: string;
  sourceId: number | null;
  sourceIp: string | null;
  createTimestamp: number;
  sizeInId: number | null;
  crc32InId: number;
  crc32InIdHex: string;
  trunk?: { id: number; offset: number; allocSize: number };
  quirk?: string;
}

const file = new URL('../../../test/vectors/fastdfs-ids.json', import.meta.url);
const vectors: Vector[] = JSON.parse(readFileSync(file, 'utf8'));

t.test('every ID that real FastDFS made is decoded as its own tools decode it', async (t) => {
  t.equal(vectors.length, 53);
  for (const vector of vectors) {
    const decoded = fileId.decode(vector.fileId);
    const { kind } = vector;
    const told = kind === 'normal' || kind === 'trunk';
    t.match(
      decoded,
      {
        group: vector.group,
        storePath: vector.storePathIndex,
        directory: Number.parseInt(vector.subdir1 + vector.subdir2, 16),
        name: vector.name,
        kind,
        source: vector.sourceId === null ? { ip: vector.sourceIp } : { serverId: vector.sourceId },
        created: vector.createTimestamp,
        size: told ? vector.sizeInId : null,
        crc32: told ? vector.crc32InId : null,
        trunk:
          kind === 'trunk' && vector.trunk
            ? { file: vector.trunk.id, offset: vector.trunk.offset, allocated: vector.trunk.allocSize }
            : null,
      },
      vector.fileId,
    );
    t.equal(fileId.join(decoded.group, decoded.storePath, decoded.directory, decoded.name), vector.fileId);
    t.equal(fileId.createdOf(vector.name), vector.createTimestamp);
  }
});

t.test('SMALL_PATTERN knows the small files of FastDFS, and no appender or trunk file', async (t) => {
  const small = new RegExp(`^${fileId.SMALL_PATTERN}`);
  for (const { name, kind, sizeInId } of vectors.filter((vector) => vector.kind !== 'slave')) {
    t.equal(small.test(name), kind === 'normal' && sizeInId !== null && sizeInId < 32768, name);
  }
});

t.test('nginx decodes every ID that real FastDFS made as Node does', async (t) => {
  const node = await TestNode.start(t);
  for (const vector of vectors) {
    const answer = await node.get(`/info/${vector.fileId}`);
    t.equal(answer.status, 200, vector.fileId);
    t.strictSame(JSON.parse(answer.body.toString()), fileId.describe(vector.fileId));
  }
});

t.test('the command decodes IDs without a node', async (t) => {
  const node = await TestNode.create(t);
  const ids = vectors.map((vector) => vector.fileId);
  const { status, stdout } = await node.command('info', '--json', ...ids);
  t.equal(status, 0);
  t.strictSame(
    JSON.parse(stdout),
    ids.map((id) => fileId.describe(id)),
  );
});
