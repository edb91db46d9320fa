import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { PackedNames } from '../../daemon/store/foreign.js';
import type { StorePath } from '../../daemon/store/store-path.js';

const packed = 'CkIAAWsKEYiILPFvAAAAbFhUzScAAAAAQAAAQAAAAEA777.txt';
const withoutExtension = 'CkIAAWsKEYiIOnstAAAADE95MY4AAAAAQAAAwAAAAEA7040407';
const link = 'CkIAAWsKEYiIKcklAAAALAedEPoAAAAAQAABQAAAAEA538.jpg';
const copiedLink = 'CkIAAWsKEYiIX2xyAAAAPGSwcr0AAAAAQAABAAAAAEA948.txt';
const plain = 'CkIAAWsKEYiAYsuhAAGGoJevpRM234.jpg';
const appender = 'CkIAAWsKEYiEGzEFAAAAAMv1Ohw783.txt';

/** Lines of each kind, as a storage server of FastDFS 6.16.1 wrote them. */
const lines = [
  `C M00/00/00/${packed}`,
  `C M00/00/00/${plain}`,
  `C M00/00/00/${withoutExtension}`,
  `C M00/00/00/${packed}-m`,
  `U M00/00/00/${plain}-m`,
  `D M00/00/00/${plain}-m`,
  `C M00/00/00/${appender}`,
  `A M00/00/00/${appender} 5 4`,
  `M M00/00/00/${appender} 1 2`,
  `T M00/00/00/${appender} 9 4`,
  `R M00/00/00/CkIAAWsKEYiAdV6NAAAABPVjfns783.txt M00/00/00/${appender}`,
  `L M00/00/00/${link} M00/00/00/${plain}`,
  `l M00/00/00/${copiedLink} M00/00/00/${packed}`,
].map((line) => `1795821960 ${line}\n`);

// Seen to fail with the last word of each line alone, without the decompression, and with the incomplete file.
t.test('the names of packed files and links are read from the binlogs of FastDFS', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const sync = join(root, 'data/sync');
  mkdirSync(sync, { recursive: true });
  writeFileSync(join(sync, 'binlog.000.gz'), gzipSync(lines.slice(0, 4).join('')));
  // FastDFS is compressing the second one.
  writeFileSync(join(sync, 'binlog.001'), lines.slice(4).join(''));
  writeFileSync(join(sync, 'binlog.001.gz'), gzipSync(lines.slice(4).join('')).subarray(0, 40));
  writeFileSync(join(sync, 'binlog.001.gz.flag'), '');
  writeFileSync(join(sync, 'binlog_index.dat'), 'current_write=1\ncurrent_compress=1\n');
  const names = new PackedNames();
  await names.read([{ root } as StorePath], [], new AbortController().signal);
  const stems = new Set(names.in(0, 0).map((name) => name.replace(/-m$/, '')));
  t.strictSame([...stems].sort(), [packed, withoutExtension, link, copiedLink].sort());
});
