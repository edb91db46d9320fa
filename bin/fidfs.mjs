#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { checkAddons } from './addons.mjs';
import { findLauncher, stopWithLauncher } from './launcher.mjs';
import { installNginx } from './nginx.mjs';
import { orExit } from './run.mjs';

/** A clone installs its npm packages and compiles itself; an installed package has neither sources nor this module. */
const SET_UP_CLONE = new URL('./prepare.mjs', import.meta.url);

// `start` sets up what is missing, and so does the installation of a service, whose user cannot; the other commands need
// what a first start has made.
const [, , command, action] = process.argv;
const installsService = command === 'service' && action === 'install' && process.getuid() === 0;
if (command === 'start' || (installsService && existsSync('/run/systemd/system'))) {
  // Looked for now: the set-up may take minutes.
  stopWithLauncher(findLauncher());
  await orExit(async () => {
    if (existsSync(SET_UP_CLONE)) return (await import(SET_UP_CLONE)).prepare();
    await checkAddons();
    await installNginx();
  });
}
await orExit(async () => {
  const { main } = await import('../dist/daemon/cli/main.js').catch((error) => {
    if (error.code === 'ERR_MODULE_NOT_FOUND' && existsSync(SET_UP_CLONE))
      throw new Error('fidfs is not built yet; "npm start" or "npm run build" does it');
    throw error;
  });
  await main(process.argv);
});
