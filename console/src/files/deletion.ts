import { asFailure, type Failure } from '../http/failure';
import { requestJson } from '../http/request';
import { takeOff } from './list';

/** What became of a deletion of many files. */
export interface Deleted {
  /** Number of files that are gone. */
  gone: number;
  /** Number of those that not all nodes know of yet. */
  accepted: number;
  /** Problems of the files that are still there, with their numbers. */
  problems: Map<string, number>;
  /** Why the deletion ended early. */
  failure: Failure | undefined;
}

/** Files of one request, so that progress is seen. */
const AT_ONCE = 200;
const GONE = ['deleted', 'accepted', 'not-found'];

/** Deletes files, and takes those that are gone off the list. Never rejects. */
export async function deleteFiles(ids: readonly string[], progress: (done: number) => void): Promise<Deleted> {
  const deleted: Deleted = { gone: 0, accepted: 0, problems: new Map(), failure: undefined };
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    try {
      const part = { ids: ids.slice(from, from + AT_ONCE) };
      const { results } = await requestJson<{ results: { id: string; status: string }[] }>('delete', { json: part });
      for (const { status } of results) {
        if (GONE.includes(status)) deleted.gone++;
        else deleted.problems.set(status, (deleted.problems.get(status) ?? 0) + 1);
        if (status === 'accepted') deleted.accepted++;
      }
      takeOff(results.filter(({ status }) => GONE.includes(status)).map(({ id }) => id));
      progress(from + results.length);
    } catch (error) {
      deleted.failure = asFailure(error);
      break;
    }
  }
  return deleted;
}
