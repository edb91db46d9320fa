import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32, gzipSync } from 'node:zlib';

/** An ID that real FastDFS made, and what is known of its file. */
export interface Vector {
  fileId: string;
  kind: string;
  storePathIndex: number;
  localPath: string;
  fileSize: number;
  contentSha256: string;
}

export const vectors: Vector[] = JSON.parse(
  readFileSync(new URL('../../../test/vectors/fastdfs-ids.json', import.meta.url), 'utf8'),
);

/** Bytes 0 to 255, repeated. */
export function pattern(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, position) => position & 0xff));
}

/** The content uploaded to FastDFS for a vector: the pattern, once with an append, or the check value of CRC32. */
export function contentOf({ fileSize, contentSha256, fileId }: Vector): Buffer {
  const candidates = [pattern(fileSize), Buffer.concat([pattern(100), pattern(50)]), Buffer.from('123456789')];
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const content = candidates.find((one) => digest(one) === contentSha256);
  if (!content) throw new Error(`the content of ${fileId} is not known`);
  return content;
}

/** Length of a trunk file in these stores; 64 MiB by default in FastDFS. */
const TRUNK_FILE = 4 * 2 ** 20;
const CREATED = 1795328179;

/** What a FastDFS store of the tests holds, by ID. */
export interface FastdfsStore {
  /** The store paths, M00 and M01. */
  roots: string[];
  /** Plain files with their contents: normal, slave, appender, and the targets of links. */
  plain: Map<string, Buffer>;
  /** Packed files, the links among them with the content of their target. */
  packed: Map<string, Buffer>;
  /** Those of `packed` that are links. */
  links: string[];
  /** Symbolic links, with the content of their target. */
  symbolic: Map<string, Buffer>;
  /** A symbolic link without a target. */
  dangling: string;
  /** IDs of packed files whose slots are free again. */
  freed: string[];
  /** Metadata, by the ID of its file. */
  metadata: Map<string, Buffer>;
  /** The path of a file on the disk. */
  pathOf(id: string): string;
}

interface Slot {
  /** 4 bytes: an address, or a server id (little-endian). */
  source: number[];
  type?: 'F' | 'L';
  content: Buffer;
  tail: string;
  storePath?: number;
  free?: boolean;
}

/** Appends slots to trunk file 1 in directory 00/00 of each store path, by the rules of FastDFS. */
export class TrunkWriter {
  private readonly files = [Buffer.alloc(TRUNK_FILE), Buffer.alloc(TRUNK_FILE)] as const;
  private readonly ends = [0, 0];
  private counter = 0;

  /** Returns the ID. */
  add({ source, type = 'F', content, tail, storePath = 0, free = false }: Slot): string {
    const offset = this.ends[storePath] as number;
    const allocated = Math.ceil((24 + content.length) / 256) * 256;
    const crc = crc32(content);
    const key = Buffer.alloc(20);
    Buffer.from(source).copy(key);
    key.writeUInt32BE(CREATED, 4);
    key.writeUInt32BE(0x88000000 + ++this.counter, 8);
    key.writeUInt32BE(content.length, 12);
    key.writeUInt32BE(crc, 16);
    const part = Buffer.alloc(12);
    for (const [index, number] of [1, offset, allocated].entries()) part.writeUInt32BE(number, index * 4);
    const header = Buffer.alloc(24);
    header.write(type, 0);
    for (const [index, number] of [allocated, content.length, crc, CREATED].entries())
      header.writeUInt32BE(number, 1 + index * 4);
    header.write(tail, 17);
    const file = this.files[storePath] as Buffer;
    if (!free) Buffer.concat([header, content]).copy(file, offset);
    this.ends[storePath] = offset + allocated;
    return `group1/M0${storePath}/00/00/${key.toString('base64url')}${part.toString('base64url')}${tail}`;
  }

  write(roots: readonly string[]): void {
    for (const [index, root] of roots.entries()) {
      const path = join(root, 'data/00/00/000001');
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, this.files[index] as Buffer);
    }
  }
}

/**
 * Makes two store paths such as FastDFS leaves them: normal, slave and appender files, metadata, trunk files with packed files,
 * links and freed slots, symbolic links, empty files, sources that are addresses and server ids, the books of FastDFS.
 */
export function makeFastdfsStore(directory: string): FastdfsStore {
  const roots = [join(directory, 'fastdfs0'), join(directory, 'fastdfs1')];
  const pathOf = (id: string) => {
    const [, label = 'M00', ...rest] = id.split('/');
    return join(roots[Number.parseInt(label.slice(1), 16)] as string, 'data', ...rest);
  };
  const put = (path: string, content: Buffer | string) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    utimesSync(path, CREATED, CREATED);
  };
  // The two vectors of gigabytes have their own test.
  const files = vectors.filter(({ kind, fileSize }) => kind !== 'trunk' && fileSize < 2 ** 30);
  const plain = new Map(files.map((file) => [file.fileId, contentOf(file)]));
  for (const [id, content] of plain) put(pathOf(id), content);

  const trunk = new TrunkWriter();
  const address = [10, 66, 0, 3];
  const serverId = [0xa2, 0x86, 1, 0]; // 100002
  const packed = new Map<string, Buffer>();
  for (const [number, size] of [0, 1, 232, 233, 1000, 100_000].entries()) {
    const content = pattern(size);
    packed.set(trunk.add({ source: address, content, tail: `${853 + number}.txt` }), content);
    packed.set(trunk.add({ source: serverId, content, tail: `0000${number}.c`.slice(-7), storePath: 1 }), content);
  }
  const freed = [trunk.add({ source: address, content: pattern(77), tail: '1234567', free: true })];
  const slave = trunk.add({ source: address, content: Buffer.from('master'), tail: '999.jpg' });
  packed.set(slave, Buffer.from('master'));
  const slaveOfPacked = slave.replace(/\.jpg$/, '_50x50.jpg');
  plain.set(slaveOfPacked, Buffer.from('thumb'));
  put(pathOf(slaveOfPacked), 'thumb');

  const withoutGroup = (id: string) => Buffer.from(id.slice(id.indexOf('/') + 1));
  const [plainTarget] = [...plain].find(([, content]) => content.length === 1000) as [string, Buffer];
  const [packedTarget] = [...packed].find(([, content]) => content.length === 1000) as [string, Buffer];
  const targets = new Map<string, string>();
  for (const [number, target] of [plainTarget, packedTarget].entries()) {
    const id = trunk.add({ source: address, type: 'L', content: withoutGroup(target), tail: `00${number}.txt` });
    packed.set(id, pattern(1000));
    targets.set(id, target);
  }
  const links = [...targets.keys()];
  trunk.write(roots);

  const symbolic = new Map<string, Buffer>();
  // A link's ID is that of its path.
  const linkId = plainTarget.replace(/\/Ck/, '/Cl');
  symlinkSync(pathOf(plainTarget), pathOf(linkId));
  symbolic.set(linkId, pattern(1000));
  const dangling = plainTarget.replace(/\/Ck/, '/Cm');
  symlinkSync(join(dirname(pathOf(plainTarget)), 'gone'), pathOf(dangling));

  const metadata = new Map<string, Buffer>();
  for (const [id] of [...plain].filter(([, content]) => content.length > 500).slice(0, 5))
    metadata.set(id, Buffer.from('height\x02150\x01width\x02150'));
  metadata.set(slave, Buffer.from('name\x02packed'));
  for (const [id, content] of metadata) put(`${pathOf(id)}-m`, content);

  // The books of FastDFS. The binlogs list every file that was made, packed ones included; all but the last are compressed.
  const [root = ''] = roots;
  const created = [...plain.keys(), ...packed.keys(), ...freed].filter((id) => !targets.has(id));
  const line = (operation: string, ...ids: string[]) => `${[CREATED, operation, ...ids.map(withoutGroup)].join(' ')}\n`;
  // In the same second, a file with the same content was in the place of another one, and deleted before.
  const [[place]] = [...packed] as [[string, Buffer]];
  const earlier = place.replace(/(\/00\/00\/.{13})./, '$1z').replace(/\d{3}\.txt$/, '111.txt');
  const lines = [line('C', earlier), line('D', earlier), ...created.map((id) => line('C', id))];
  for (const [id, target] of targets) lines.push(line('L', id, target));
  for (const id of freed) lines.push(line('D', id));
  put(join(root, 'data/sync/binlog.000.gz'), gzipSync(lines.filter((_, number) => number % 2 === 0).join('')));
  put(join(root, 'data/sync/binlog.001'), lines.filter((_, number) => number % 2 === 1).join(''));
  for (const name of ['storage_stat.dat', '.data_init_flag', 'fdfs_storaged.pid', 'trunk/binlog'])
    put(join(root, 'data', name), 'FastDFS');
  put(join(root, 'logs/storaged.log'), '[2026-11-22 06:16:19] INFO');
  return { roots, plain, packed, links, symbolic, dangling, freed, metadata, pathOf };
}

let counter = 0;

/** An ID such as FastDFS makes for a file with this content on the first store path. */
export function foreignId(content: Buffer, tail: string, directory = '00/00'): string {
  const key = Buffer.alloc(20);
  Buffer.from([10, 66, 0, 4]).copy(key);
  key.writeUInt32BE(CREATED, 4);
  key.writeUInt32BE(0x80000000 + ++counter, 8);
  key.writeUInt32BE(content.length, 12);
  key.writeUInt32BE(crc32(content), 16);
  return `group1/M00/${directory}/${key.toString('base64url')}${tail}`;
}

/** The path of an ID below the first store path. Makes its directory. */
export function foreignPath(root: string, id: string): string {
  const path = join(root, 'data', ...id.split('/').slice(2));
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

/** Writes the file of an ID as FastDFS does, and returns its path. */
export function putForeign(root: string, id: string, content: Buffer | string, time = CREATED): string {
  const path = foreignPath(root, id);
  writeFileSync(path, content);
  utimesSync(path, time, time);
  return path;
}
