import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { AdoptionReport } from '../../daemon/replication/adoption.js';
import { type FastdfsStore, makeFastdfsStore } from './fastdfs-store.js';
import { TestNode } from './node.js';

/** Creates a node on the store paths of FastDFS, without starting it. Removes a directory of its own after the test. */
export async function createOnFastdfs(t: Test, env: Record<string, string> = {}, existing?: string) {
  const directory = existing ?? mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  if (existing === undefined) t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const store = makeFastdfsStore(directory);
  const node = await TestNode.create(t, { directory, env: { FIDFS_STORE_PATHS: store.roots.join(','), ...env } });
  return { store, node };
}

/** Runs `fidfs adopt`. */
export async function adopt(node: TestNode, ...words: string[]): Promise<{ status: number; report: AdoptionReport }> {
  const { status, stdout, stderr } = await node.command('adopt', '--json', ...words);
  if (stdout === '') throw new Error(stderr);
  return { status, report: JSON.parse(stdout) };
}

/** All files of a store with their contents, as readers see them. */
export function allOf({ plain, packed, symbolic }: FastdfsStore): Map<string, Buffer> {
  return new Map([...plain, ...packed, ...symbolic]);
}

/** The IDs that a node does not serve byte for byte. */
export async function wrongOf(node: TestNode, files: ReadonlyMap<string, Buffer>): Promise<unknown[]> {
  const wrong: unknown[] = [];
  for (const [id, content] of files) {
    const { status, body } = await node.get(id);
    if (status !== 200 || !body.equals(content)) wrong.push({ id, status, length: body.length });
  }
  return wrong;
}
