#!/usr/bin/env node
import { findLauncher, stopWithLauncher } from './launcher.mjs';
import { orExit, prepare } from './prepare.mjs';

// `start` sets up what is missing; the other commands need what a first start has made.
if (process.argv[2] === 'start') {
  // Looked for now: the set-up may take minutes.
  stopWithLauncher(findLauncher());
  await orExit(prepare);
}
await orExit(async () => {
  const { main } = await import('../dist/daemon/cli/main.js').catch((error) => {
    if (error.code === 'ERR_MODULE_NOT_FOUND')
      throw new Error('fidfs is not built yet; "npm start" or "npm run build" does it');
    throw error;
  });
  await main(process.argv);
});
