import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ClusterFile } from '../../daemon/cluster/cluster-file.js';

// Seen to fail when write() compares with the last text written instead of with the files.
t.test('cluster.json and its second copy are written anew when they are not what was written', async (t) => {
  const directory = t.testdir({});
  const file = new ClusterFile(directory);
  const nodes = { 2: { group: 'group1', origin: 'http://127.0.0.1:1', host: 'two:1', up: true, well: true } };
  const paths = ['cluster.json', 'cluster.json.last'].map((name) => join(directory, name)) as [string, string];
  // Two calls, because each writes at most one file.
  const looks = () => [1, 2].forEach(() => void file.write(nodes));
  const inodes = () => paths.map((path) => statSync(path).ino);
  looks();
  const before = inodes();
  looks();
  t.strictSame(inodes(), before, 'what is right is left alone');
  for (const path of paths) {
    for (const spoil of [() => writeFileSync(path, ''), () => writeFileSync(path, '{"no'), () => rmSync(path)]) {
      spoil();
      looks();
      for (const one of paths) t.strictSame(JSON.parse(readFileSync(one, 'utf8')), { version: 1, nodes });
    }
  }
});
