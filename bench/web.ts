import { join } from 'node:path';
import { benchPictures } from './pictures.js';
import { markdownTable } from './table.js';

/** Measures what web applications ask for. */
export async function measureWeb(directory: string): Promise<string> {
  const heading = ['work', 'reference', 'fidfs, ops/s', 'CPU us/op', 'reference, ops/s', 'CPU us/op', 'ratio'];
  return markdownTable([heading, ...(await benchPictures(join(directory, 'pictures')))]);
}
