// npm run bench: sets up the clone, then runs the measurements (bench/run.ts).
import { orExit, prepare } from './prepare.mjs';

await orExit(async () => {
  await prepare();
  await import('../dist/bench/run.js');
});
