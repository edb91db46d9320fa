import { build, orExit } from './prepare.mjs';

await orExit(build);
