import { readFileSync } from 'node:fs';

/** The version in package.json, which is beside the directory of the compiled code. */
export const version: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
