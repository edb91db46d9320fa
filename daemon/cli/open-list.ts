import { CommandFailed } from './errors.js';
import { isStandardInput, openPipe, openRegular, standardInput } from './input.js';

/** Opens a list: a file, a pipe, or standard input (`-`). Rejects with CommandFailed. */
export async function openList(file: string): Promise<AsyncIterable<Buffer>> {
  if (isStandardInput(file)) return standardInput();
  const pipe = await openPipe(file);
  if (pipe) return pipe;
  const handle = await openRegular(file).catch((error: Error) => {
    throw new CommandFailed(`${file} ${error.message}`);
  });
  return handle.createReadStream();
}
