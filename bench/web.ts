import { join } from 'node:path';
import { benchLists } from './lists.js';
import { benchPictures } from './pictures.js';
import { benchPrivateFiles } from './private-files.js';
import { markdownTable } from './table.js';

/** Measures what web applications ask for. */
export async function measureWeb(directory: string): Promise<string> {
  const heading = ['work', 'reference', 'fidfs, ops/s', 'CPU us/op', 'reference, ops/s', 'CPU us/op', 'ratio'];
  const privateFiles = await benchPrivateFiles(join(directory, 'private-files'));
  const pictures = await benchPictures(join(directory, 'pictures'));
  return markdownTable([heading, privateFiles, ...pictures, ...(await benchLists(join(directory, 'lists')))]);
}
