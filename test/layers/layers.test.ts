import { fileURLToPath } from 'node:url';
import t from 'tap';
import { run } from '../helpers/programs.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
const PROGRAM = 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs';

// Seen to fail with an import of daemon/operations/problems.ts in daemon/store/store.ts, one of better-sqlite3 there, one of
// daemon/store/walk.ts in daemon/index/index.ts, one of a type of follower.ts in peer-file.ts, and one of a type
// of the view itself in facts.tsx of the page, and with an import of daemon/cli/sign.ts in daemon/cli/main.ts that is not one of a type.
t.test('the sources import downwards only, and in no circles', async (t) => {
  const options = [
    '--config',
    '.dependency-cruiser.mjs',
    'daemon',
    'file-id',
    'njs',
    'nginx',
    'console/src',
    'clients/js/src',
  ];
  const { status, stdout, stderr } = await run(process.execPath, [PROGRAM, ...options], {}, PROJECT);
  t.match(stdout, /no dependency violations found \(\d{3} modules, \d{3,} dependencies cruised\)/, stderr);
  t.equal(status, 0);
});
