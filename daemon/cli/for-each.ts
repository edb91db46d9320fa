import fileId from '../../file-id/file-id.js';
import { CommandFailed } from './errors.js';
import { json as jsonOf, OutputFailed, print } from './output.js';

/** Concurrent calls: uploads under way at the same time share one sync. */
const AT_ONCE = 8;

/**
 * Calls `act` for each thing, up to 8 at a time, and prints the results in the order of `things`; with `json` prints one
 * array at the end. Sets the exit status to 2 if an ID is malformed, to 1 if another call failed. If standard output cannot
 * be written, starts no more calls and prints the results that were not written to standard error, because the IDs of stored
 * files are recorded nowhere else.
 */
export async function forEach<Thing extends { input: string }, T>(
  things: readonly Thing[],
  { json = false }: { json?: boolean },
  act: (thing: Thing) => Promise<T>,
  show: (result: T) => string,
): Promise<void> {
  const results: (T | { input: string; error: string })[] = [];
  let begun = 0;
  const underWay: Promise<{ input: string; result: T } | { input: string; error: unknown }>[] = [];
  let failure: OutputFailed | undefined;
  const unprinted: string[] = [];
  const begin = () => {
    const thing = failure ? undefined : things[begun];
    if (!thing) return;
    begun++;
    const outcome = act(thing).then(
      (result) => ({ input: thing.input, result }),
      (error: unknown) => ({ input: thing.input, error }),
    );
    underWay.push(outcome);
  };
  const write = (text: string) => {
    try {
      if (!failure) return print(text);
    } catch (error) {
      if (!(error instanceof OutputFailed)) throw error;
      failure = error;
    }
    unprinted.push(text);
  };
  for (let count = 0; count < AT_ONCE; count++) begin();
  let status = 0;
  for (let next = underWay.shift(); next; next = underWay.shift()) {
    const outcome = await next;
    if ('result' in outcome) {
      results.push(outcome.result);
      if (!json) write(show(outcome.result));
      begin();
      continue;
    }
    begin();
    const { input, error } = outcome;
    if (!(error instanceof CommandFailed) && !fileId.isFileIdError(error)) throw error;
    // A malformed ID is wrong usage, whatever the other results are.
    status = fileId.isFileIdError(error) ? 2 : Math.max(status, 1);
    results.push({ input, error: error.message });
    if (!json) process.stderr.write(`fidfs: ${input}: ${error.message}\n`);
  }
  if (json) write(jsonOf(results));
  if (failure) {
    const left = begun < things.length ? `; ${things.length - begun} of ${things.length} were not begun` : '';
    process.stderr.write(`fidfs: ${failure.message}${left}; this is missing there:\n${unprinted.join('')}`);
    status = Math.max(status, 1);
  }
  if (status > 0) process.exitCode = status;
}
