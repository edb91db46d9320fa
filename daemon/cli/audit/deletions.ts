import { createInterface } from 'node:readline/promises';
import { counted } from '../../words.js';
import type { Client } from '../client.js';
import { CommandFailed } from '../errors.js';
import { formatBytes, progressBar } from '../output.js';
import type { NamedFiles } from './named-files.js';
import type { Group, ReadList, Report } from './report.js';

/** IDs of a request. */
const BATCH = 1000;
/** The share of the files of a group that are deleted without --force. */
const LARGEST_SHARE = 0.5;

/** Deletes unnamed files, unless the list looks as if it were not the whole one, or not that of this store. */
export class Deletions {
  constructor(
    private readonly client: Client,
    private readonly named: NamedFiles,
    private readonly report: Report,
    private readonly options: { yes?: boolean; force?: boolean },
  ) {}

  /**
   * Asks whether the files shall be deleted. Rejects with CommandFailed if the answer is not "yes", and without `force` if the list is
   * doubtful.
   * @param isUnchanged whether the file of the list is as it was when it was read
   */
  async assertPlausible(list: ReadList, groups: readonly Group[], isUnchanged: () => boolean): Promise<void> {
    const doubts = doubtsOf(list, groups);
    if (doubts.length > 0 && !this.options.force)
      throw nothingDeleted(`${doubts.join('; ')} (--force deletes all the same)`);
    const judged = groups.filter(({ unnamed }) => unnamed > 0);
    const parts = judged.map(({ name, files, unnamed, bytes }) => {
      return `${counted(unnamed, 'file')} (${formatBytes(bytes)}) of the ${files} of ${name}`;
    });
    if (!this.options.yes && !(await ask(`fidfs: delete ${parts.join(' and ')} for good? Write yes: `)))
      throw nothingDeleted('the answer was not yes');
    if (!isUnchanged()) throw nothingDeleted('the list was changed meanwhile; run the audit again');
  }

  /** Deletes the unnamed files, not their slaves, which are judged by themselves. Returns how many are gone. */
  async deleteAll(count: number): Promise<number> {
    const bar = process.stdout.isTTY ? undefined : progressBar('{bar} {value}/{total} files deleted', count);
    let gone = 0;
    try {
      for (const files of this.named.unnamed(BATCH)) {
        const ids = files.map(({ id }) => id).filter((id) => !this.named.namesFamilyOf(id));
        const results = await this.client.many('delete?slaves=keep', ids);
        const deleted = results.filter(({ status }) => status === 'deleted' || status === 'accepted');
        this.report.add(deleted.map(({ id }) => ({ state: 'deleted', id })));
        const away = results.filter(({ status }) => status === 'not-found').length;
        for (const result of results) {
          if (['deleted', 'accepted', 'not-found'].includes(result.status)) continue;
          process.stderr.write(`fidfs: ${result.id}: ${('detail' in result && result.detail) || result.status}\n`);
        }
        gone += deleted.length + away;
        bar?.increment(results.length);
      }
    } finally {
      bar?.stop();
    }
    process.stderr.write(`fidfs: ${counted(gone, 'file')} deleted\n`);
    return gone;
  }
}

/** Why a list may be the wrong one, or not all of it. */
function doubtsOf({ bad, isEnded }: ReadList, groups: readonly Group[]): string[] {
  const doubts: string[] = [];
  if (!isEnded) doubts.push('the last line of the list has no line feed: it may be cut off');
  if (bad > 0) doubts.push(`${counted(bad, 'line')} of the list ${bad === 1 ? 'has' : 'have'} no ID`);
  for (const { name, files, unnamed } of groups) {
    if (unnamed === files) doubts.push(`the list names no file that ${name} has: it may be that of another store`);
    else if (unnamed > files * LARGEST_SHARE)
      doubts.push(`${unnamed} of the ${counted(files, 'file')} of ${name} are not named: the list may be cut off`);
  }
  return doubts;
}

function nothingDeleted(why: string): CommandFailed {
  return new CommandFailed(`nothing was deleted: ${why}`);
}

async function ask(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question(question)).trim().toLowerCase() === 'yes';
  } finally {
    terminal.close();
  }
}
