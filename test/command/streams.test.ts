import { execFile } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { contentOf } from '../../daemon/cli/input.js';
import { filesOn } from '../helpers/disk.js';
import { type Ended, TestNode } from '../helpers/node.js';

const COMMAND = fileURLToPath(new URL('../../../bin/fidfs.mjs', import.meta.url));
const LINE = /^group1\/\S+( tree\/\d+)?$/;

/** Runs a bash script in which `fidfs` is the command, with this node's settings. */
function shell(node: TestNode, script: string): Promise<Ended> {
  const env = { ...process.env, ...node.env, NODE_OPTIONS: '', NODE: process.execPath, COMMAND };
  const whole = `set -o pipefail; fidfs() { "$NODE" "$COMMAND" "$@"; }; ${script}`;
  return new Promise((resolve) => {
    execFile('bash', ['-c', whole], { env, cwd: node.directory }, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

t.test('what the command reads and writes', async (t) => {
  const node = await TestNode.start(t);
  const here = (name: string) => join(node.directory, name);
  const stored = () => filesOn(node.storePath).length;
  mkdirSync(here('tree'));
  for (let number = 0; number < 20; number++) writeFileSync(here(`tree/${number}`), String(number));

  // Seen to fail (status 0, an empty file) with process.stdin alone.
  await t.test('standard input that cannot be read is an error, and nothing is stored', async (t) => {
    const before = stored();
    for (const script of [
      'fidfs upload - < tree',
      'fidfs upload /dev/stdin < tree',
      'fidfs upload - 0> written',
      'fidfs upload --json - < tree',
    ]) {
      const { status, stdout, stderr } = await shell(node, script);
      t.equal(status, 1, script);
      t.match(stdout + stderr, /cannot be read: (EISDIR|EBADF)/, script);
      t.notMatch(stdout + stderr, /is the node running/, script);
    }
    t.equal(stored(), before);
  });

  // Seen to fail ("is neither a file nor a directory") without openPipe.
  await t.test('pipes and devices are read as standard input is', async (t) => {
    writeFileSync(here('input.txt'), 'some text');
    for (const script of [
      'cat input.txt | fidfs upload -',
      'cat input.txt | fidfs upload /dev/stdin',
      'fidfs upload - < input.txt',
      'fidfs upload /dev/stdin < input.txt',
      'fidfs upload <(sleep 0.1; cat input.txt)',
    ]) {
      const { status, stdout, stderr } = await shell(node, script);
      t.match({ status, stdout: stdout.trim(), stderr }, { status: 0, stdout: LINE, stderr: '' }, script);
      t.equal(String((await node.get(stdout.trim())).body), 'some text', script);
    }
    const several = await shell(node, 'fidfs upload <(echo 1) <(echo 2) <(echo 3) <(echo 4) <(echo 5) <(echo 6)');
    t.match(several, { status: 0, stderr: '' });
    const ids = several.stdout.trim().split('\n');
    const bodies = await Promise.all(ids.map(async (id) => String((await node.get(id)).body)));
    t.strictSame(bodies, ['1\n', '2\n', '3\n', '4\n', '5\n', '6\n']);
    t.match(await shell(node, 'fidfs upload --filename a.txt /dev/stdin < /dev/null'), {
      status: 0,
      stdout: /^\S+\.txt\n$/,
    });
    // Seen to hang (the pipe stays open) without content.destroy.
    const open = 'mkfifo open; exec 3<> open; echo x >&3; fidfs upload --server http://127.0.0.1:1 open 3>&-';
    t.match(await shell(node, open), { status: 1, stderr: /ECONNREFUSED/ });
  });

  // Seen to fail without contentOf ("is the node running?"), and (stored) if the last bytes are not held back.
  await t.test('a file that changes while it is read is said to have changed, and is not stored', async (t) => {
    const before = stored();
    const { status, stdout, stderr } = await shell(node, 'fidfs upload /proc/cpuinfo');
    t.match(
      { status, stdout, stderr },
      { status: 1, stdout: '', stderr: /^fidfs: \/proc\/cpuinfo: changed while it was read/ },
    );
    t.notMatch(stderr, /is the node running/);
    t.equal(stored(), before);

    const changes: Record<string, (file: string) => void> = {
      grows: (file) => appendFileSync(file, 'x'),
      shrinks: (file) => writeFileSync(file, 'x'),
      'is written to': (file) => writeFileSync(file, Buffer.alloc(200_000, 2)),
    };
    for (const [name, change] of Object.entries(changes)) {
      const file = here('changing');
      writeFileSync(file, Buffer.alloc(200_000, 1));
      const handle = await open(file);
      const announced = await handle.stat();
      let given = 0;
      const read = async () => {
        for await (const chunk of contentOf(handle, announced, () => {})) {
          if (given === 0) change(file);
          given += chunk.length;
        }
      };
      await t.rejects(read(), /changed while it was read/, name);
      t.ok(given < announced.size, `${name}: the last bytes are held back`);
      await handle.close();
    }
  });

  // Seen to fail (a stack trace) without guardOutput.
  await t.test(
    'a reader that has seen enough ends the command without a word, with the status of SIGPIPE',
    async (t) => {
      const { id } = await node.upload(Buffer.alloc(3_000_000));
      for (const script of [
        'fidfs upload tree | true',
        'fidfs upload --json tree | true',
        `fidfs get -o - ${id} | head -c 10 | wc -c`,
        'fidfs status | true',
      ]) {
        const { status, stderr } = await shell(node, script);
        t.strictSame({ status, stderr }, { status: 141, stderr: '' }, script);
      }
      t.match((await shell(node, 'fidfs upload tree 2>&1 | head -1')).stdout.trim(), LINE);
    },
  );

  // Seen to fail (a stack trace, no IDs) with process.stdout.write.
  await t.test('IDs that standard output does not take are said on standard error', async (t) => {
    for (const words of ['upload tree/1', 'upload tree', 'upload --json tree']) {
      const before = stored();
      const { status, stderr } = await shell(node, `fidfs ${words} > /dev/full`);
      t.equal(status, 1, words);
      t.match(stderr, /^fidfs: standard output cannot be written: ENOSPC/, words);
      const ids = stderr.match(/group1\/M00\/[\w/.-]+/g) ?? [];
      t.equal(new Set(ids).size, stored() - before, words);
      for (const id of ids) t.equal((await node.get(id)).status, 200, id);
    }
    t.match(await shell(node, 'fidfs upload tree > /dev/full'), { stderr: /; \d+ of 20 were not begun;/ });
    const { id } = await node.upload(Buffer.from('x'));
    for (const words of ['status', 'verify', `info ${id}`, `get -o - ${id}`, 'key', 'status --json', '--help']) {
      const { status, stderr } = await shell(node, `fidfs ${words} > /dev/full`);
      t.equal(status, 1, words);
      t.match(stderr, /^fidfs: .*ENOSPC/, words);
      t.notMatch(stderr, / {4}at /, words);
    }
    t.notMatch((await shell(node, 'fidfs key > /dev/full')).stderr, node.key);
  });

  // Seen to fail with `${target}.part`.
  await t.test('get writes to no file of somebody else, and replaces nothing but files', async (t) => {
    const { id } = await node.upload(Buffer.from('content'));
    writeFileSync(here('out.part'), 'of somebody');
    t.match(await node.command('get', '-o', 'out', id), { status: 0, stdout: 'out\n' });
    t.equal(readFileSync(here('out'), 'utf8'), 'content');
    t.equal(readFileSync(here('out.part'), 'utf8'), 'of somebody');
    t.match(await node.command('get', '-o', '/dev/null', id), {
      status: 1,
      stderr: /\/dev\/null exists, and is not a regular file/,
    });
  });

  await t.test('delete takes an ID that is named twice once', async (t) => {
    const { id } = await node.upload(Buffer.from('twice'));
    // Seen to fail (404 for the second) without the set.
    t.strictSame(await node.command('delete', id, id), { status: 0, stdout: `deleted ${id}\n`, stderr: '' });
  });

  await t.test('a --server that is no URL is named with what is expected', async (t) => {
    for (const server of ['nonsense', 'localhost:8080', 'ftp://x', '']) {
      const ended = await node.command('upload', '--server', server, 'tree/1');
      // Seen to fail ("Invalid URL") without parseServer.
      t.match(ended, {
        status: 2,
        stdout: '',
        stderr: `fidfs: --server: "${server}" is not allowed; write a URL such as http`,
      });
    }
    t.match(await node.command('upload', '--server', `${node.origin}/`, 'tree/1'), { status: 0 });
  });
});
