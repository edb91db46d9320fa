// The compiled part of better-sqlite3, for a start: without it the daemon fails with a list of paths as its only reason.
import { root } from './run.mjs';

/** The part of a shell's command line that a directory is: quoted where it needs to be. */
function quoted(directory) {
  return /^[\w./@-]+$/.test(directory) ? directory : `'${directory.replaceAll("'", "'\\''")}'`;
}

/** Fails, with what to do, if SQLite's addon is missing or was made for another Node or another system. */
export async function checkAddons() {
  try {
    const { default: Database } = await import('better-sqlite3');
    new Database(':memory:').close();
  } catch (error) {
    const reason = error.message.replace(/\. Tried:.*$/s, '').replaceAll('\n', ' ');
    throw new Error(
      `the addon of better-sqlite3 is missing or not for Node ${process.version} on this system (${reason})
Let npm fetch or compile it; to compile it, g++, make and python3 must be there (apt-get install g++ make python3):
  npm rebuild --prefix ${quoted(root)} better-sqlite3`,
    );
  }
}
