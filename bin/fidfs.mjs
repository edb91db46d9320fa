#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { checkAddons } from './addons.mjs';
import { findLauncher, stopWithLauncher } from './launcher.mjs';
import { installNginx } from './nginx.mjs';
import { orExit } from './run.mjs';

/** Installs npm packages and compiles a clone; an installed package has no sources and not this module. */
const SET_UP_CLONE = new URL('./prepare.mjs', import.meta.url);

// `start` sets up the clone, and so does `service install`, because the user of the service cannot. The other commands need
// the result of a first start.
const [, , command, action] = process.argv;
const installsService = command === 'service' && action === 'install' && process.getuid() === 0;
if (command === 'start' || (installsService && existsSync('/run/systemd/system'))) {
  // Before the set-up, which may take minutes, because the launcher may exit during it.
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
