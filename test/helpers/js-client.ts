import { fileURLToPath, pathToFileURL } from 'node:url';

/** The directory of the client's package. */
export const CLIENT = fileURLToPath(new URL('../../../clients/js', import.meta.url));

type Client = typeof import('../../clients/js/dist/index.js');

/** Loads the client as its package contains it. */
export async function loadClient(): Promise<Client> {
  return (await import(pathToFileURL(`${CLIENT}/dist/index.js`).href)) as Client;
}
