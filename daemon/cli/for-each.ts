import fileId from '../../file-id/file-id.js';
import { CommandFailed } from './errors.js';
import { printJson } from './output.js';

/** A lone upload waits for a sync of its own; several under way share one. */
const AT_ONCE = 8;

/**
 * Does something for each of several things, some at a time; tells of them in their order; prints an array with --json;
 * fails at the end when one failed.
 */
export async function forEach<Thing extends { input: string }, T>(
  things: readonly Thing[],
  { json = false }: { json?: boolean },
  act: (thing: Thing) => Promise<T>,
  show: (result: T) => string,
): Promise<void> {
  const results: (T | { input: string; error: string })[] = [];
  const waiting = things.values();
  const underWay: Promise<{ input: string; result: T } | { input: string; error: unknown }>[] = [];
  const begin = () => {
    const { value: thing, done } = waiting.next();
    if (done) return;
    const outcome = act(thing).then(
      (result) => ({ input: thing.input, result }),
      (error: unknown) => ({ input: thing.input, error }),
    );
    underWay.push(outcome);
  };
  for (let count = 0; count < AT_ONCE; count++) begin();
  let status = 0;
  for (let next = underWay.shift(); next; next = underWay.shift()) {
    const outcome = await next;
    begin();
    if ('result' in outcome) {
      results.push(outcome.result);
      if (!json) process.stdout.write(show(outcome.result));
      continue;
    }
    const { input, error } = outcome;
    if (!(error instanceof CommandFailed) && !fileId.isFileIdError(error)) throw error;
    // What is no ID was written wrongly, whatever became of the others.
    status = fileId.isFileIdError(error) ? 2 : Math.max(status, 1);
    results.push({ input, error: error.message });
    if (!json) process.stderr.write(`fidfs: ${input}: ${error.message}\n`);
  }
  if (json) printJson(results);
  if (status > 0) process.exitCode = status;
}
