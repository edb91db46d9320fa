// Assembles fidfs as installed: the files of `npm pack`, and the production packages of package-lock.json from node_modules.
// For the Debian package, the image and the tests: node bin/assemble.mjs <directory>
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orExit, root } from './run.mjs';

/** Files for compilers and debuggers, which are left out. */
const FOR_BUILDS = /\.(?:map|d\.[cm]?ts|[aoch]|cc|cpp|hpp|gypi?|mk)$/;

/** Parts of addons that are not loaded at run time: sources, intermediate files, and builds for other systems. */
const UNUSED = [
  /better-sqlite3\/(?:deps|src|build\/(?!Release(?:\/better_sqlite3\.node)?$))/,
  /\/koffi\/(?:cnoke\.cjs|doc|lib|vendor|src\/.*\.(?:S|asm|def|hh|inc|txt))$/,
  /@koromix\/koffi-[^/]*\/musl_/,
];

/** The optional packages that are included: the addons of koffi and sharp for this system, but not Redis for @tus/server. */
const ADDON = /^node_modules\/(?:@koromix\/koffi-|sharp$|@img\/)/;

/** Returns the paths of the packages that a node needs. */
function productionPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, { dev, optional, devOptional }]) => !dev && !devOptional && (!optional || ADDON.test(path)))
    .map(([path]) => path);
}

function packInto(directory) {
  const scratch = mkdtempSync(join(tmpdir(), 'fidfs-pack-'));
  try {
    const words = ['pack', '--silent', '--pack-destination', scratch];
    const name = execFileSync('npm', words, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    execFileSync('tar', [
      '-xzf',
      join(scratch, name.trim()),
      '-C',
      directory,
      '--strip-components=1',
      '--no-same-owner',
    ]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Copies all files into a directory, which is created if missing; does not remove existing files. */
export function assemble(directory) {
  mkdirSync(directory, { recursive: true });
  packInto(directory);
  for (const path of productionPackages()) {
    const from = join(root, path);
    const isWanted = (file) => {
      const rest = file.slice(from.length);
      // Nested packages are separate entries.
      return !rest.startsWith('/node_modules') && !FOR_BUILDS.test(file) && !UNUSED.some((part) => part.test(file));
    };
    cpSync(from, join(directory, path), { recursive: true, filter: isWanted });
  }
}

if (import.meta.filename === process.argv[1]) {
  await orExit(() => {
    const [, , directory] = process.argv;
    if (directory === undefined) throw new Error('which directory? node bin/assemble.mjs <directory>');
    assemble(directory);
  });
}
