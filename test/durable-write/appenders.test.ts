import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Copy } from '../../daemon/store/copies.js';
import { filePath } from '../../daemon/store/layout.js';
import type { FileRecord } from '../../daemon/store/records.js';
import type { StorePath } from '../../daemon/store/store-path.js';
import fileId from '../../file-id/file-id.js';
import { bytesOf, type Modules, open, uploadAll, withPiece } from '../helpers/faulty-store.js';

interface Opened {
  modules: Modules;
  /** The ID of an appender with the content `start`. */
  id: string;
  record: FileRecord;
}

async function openWithAppender(t: Test): Promise<Opened> {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const modules = await open(directory, 'batch');
  t.teardown(async () => {
    await modules.store.close();
    await modules.index.close();
  });
  const [id = ''] = await uploadAll(modules, [Buffer.from('start')], true);
  const record = modules.store.recordOf(fileId.decode(id)) as FileRecord;
  return { modules, id, record };
}

/** A version of a peer, this many milliseconds newer than now. */
function copyOf({ key, storePath, directory, name }: FileRecord, content: string, newer: number): Copy {
  const sha256 = Buffer.from(hash('sha256', content, 'hex'), 'hex');
  const bytes = Buffer.from(content);
  return { key, storePath, directory, name, size: bytes.length, sha256, version: Date.now() + newer, content: bytes };
}

function append({ modules, id }: Opened, piece: string): Promise<unknown> {
  return withPiece(modules, id, Buffer.from(piece), (received) =>
    modules.store.appenders.append(fileId.decode(id), received, { limit: 1000, settle: async () => {} }),
  );
}

/** Whether the record and the file are those of the copy. */
function assertIs(t: Test, { modules, record, id }: Opened, copy: Copy): void {
  const recorded = modules.store.recordOf(fileId.decode(id)) as FileRecord;
  const { size, sha256, version } = recorded;
  t.strictSame({ size, sha256, version }, { size: copy.size, sha256: copy.sha256, version: copy.version });
  t.strictSame(bytesOf(modules, record), copy.content);
  const { root } = modules.paths[record.storePath] as StorePath;
  const { mtimeMs } = statSync(filePath(root, record.directory, record.name));
  t.equal(Math.round(mtimeMs), copy.version, 'the version in its time');
}

// Seen to fail without isCurrent() and without isUnderWay() in unlessChanged() of daemon/store/appender-files.ts (the file is not the
// recorded one), and without isCurrent() before cutOff() (the copy is cut to the former size).
for (const isSameBatch of [false, true]) {
  const when = isSameBatch ? 'in the batch of the append' : 'while the appended bytes are synced';
  t.test(`a copy that replaces an appender ${when} stays as it is, and the append is refused`, async (t) => {
    const opened = await openWithAppender(t);
    const { modules, record } = opened;
    const copy = copyOf(record, 'the longer content of a peer', 1000);
    const { calls } = modules.paths[record.storePath] as StorePath;
    const real = calls.fdatasync;
    let taken: Promise<void> | undefined;
    calls.fdatasync = async (descriptor) => {
      calls.fdatasync = real;
      taken = modules.copies.take({ copies: [copy] });
      // A sync would last longer than the batch stays open for the append.
      if (isSameBatch) return;
      await taken;
      await real(descriptor);
    };
    await t.rejects(append(opened, ' and more'), { code: 'unavailable', message: /was changed by another node/ });
    await taken;
    assertIs(t, opened, copy);
    await append(opened, ', and more');
    t.equal(bytesOf(modules, record)?.toString(), 'the longer content of a peer, and more');
  });
}

// Seen to fail (the copy has the name, and the record is that of the append) without reserve() in commitInPlace() of
// daemon/store/appender-files.ts.
for (const newer of [-1000, 1000]) {
  const kind = newer > 0 ? 'a later' : 'an earlier';
  t.test(`${kind} copy that follows an append in its batch does not replace it, and is tried again`, async (t) => {
    const opened = await openWithAppender(t);
    const { modules, record } = opened;
    const copy = copyOf(record, 'the content of a peer', newer);
    const { writer } = modules.store;
    const real = writer.commit.bind(writer);
    let taken: Promise<void> | undefined;
    const failed: string[] = [];
    writer.commit = (change) => {
      writer.commit = real;
      const done = real(change);
      taken = modules.copies.take({ copies: [copy], alongside: (all) => failed.push(...all.map((one) => one.reason)) });
      return done;
    };
    await append(opened, ' and more');
    await taken;
    t.equal(bytesOf(modules, record)?.toString(), 'start and more');
    t.equal(modules.store.recordOf(fileId.decode(opened.id))?.size, 14);
    t.strictSame(failed, ['not fetched yet']);
    await modules.copies.take({ copies: [copy] });
    t.equal(bytesOf(modules, record)?.toString(), newer > 0 ? 'the content of a peer' : 'start and more', 'in the end');
  });
}
