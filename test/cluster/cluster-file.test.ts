import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ClusterFiles } from '../../daemon/cluster/cluster-file.js';

// Seen to fail when write() compares with the last text written instead of with the files.
t.test('the file of a group and its second copy are written anew when they are not what was written', async (t) => {
  const directory = t.testdir({});
  const file = new ClusterFiles(directory);
  const nodes = { 2: { origin: 'http://127.0.0.1:1', host: 'two:1', up: true, well: true } };
  const paths = ['group1.json', 'group1.json.last'].map((name) => join(directory, 'cluster', name)) as [string, string];
  // Two calls, because each writes at most one file.
  const looks = () => [1, 2].forEach(() => void file.write('group1', nodes));
  const inodes = () => paths.map((path) => statSync(path).ino);
  looks();
  const before = inodes();
  looks();
  t.strictSame(inodes(), before, 'what is right is left alone');
  for (const path of paths) {
    for (const spoil of [() => writeFileSync(path, ''), () => writeFileSync(path, '{"no'), () => rmSync(path)]) {
      spoil();
      looks();
      for (const one of paths) t.strictSame(JSON.parse(readFileSync(one, 'utf8')), { version: 2, nodes });
    }
  }
});

// Seen to fail without each line of keepOnly().
t.test('files of groups that are gone, and those of earlier versions, are removed', async (t) => {
  const directory = t.testdir({ 'cluster.json': '{}', 'cluster.json.last': '{}', 'nginx.conf': '' });
  const files = new ClusterFiles(directory);
  files.keepOnly([]);
  for (const group of ['group1', 'group1', 'group2', 'group2']) files.write(group, {});
  files.keepOnly(['group2']);
  t.strictSame(readdirSync(directory).sort(), ['cluster', 'nginx.conf']);
  t.strictSame(readdirSync(join(directory, 'cluster')).sort(), ['group2.json', 'group2.json.last']);
});
