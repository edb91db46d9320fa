// Puts fidfs into a directory as it is installed: what `npm pack` packs, with the production packages of package-lock.json
// that lie in node_modules. For the Debian package, the image and the tests: node bin/assemble.mjs <directory>
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orExit, root } from './run.mjs';

/** What packages carry for compilers and debuggers. */
const FOR_BUILDS = /\.(?:map|d\.[cm]?ts|[aoch]|cc|cpp|hpp|gypi?|mk)$/;

/** Parts of addons that nothing loads: sources, intermediate files, and what was built for other systems. */
const UNUSED = [
  /better-sqlite3\/(?:deps|src|build\/(?!Release(?:\/better_sqlite3\.node)?$))/,
  /\/koffi\/(?:cnoke\.cjs|doc|lib|vendor|src\/.*\.(?:S|asm|def|hh|inc|txt))$/,
  /@koromix\/koffi-[^/]*\/musl_/,
];

/** Of the optional packages a node needs koffi's addon for this system; it does without the others (Redis for @tus/server). */
const ADDON = /^node_modules\/@koromix\/koffi-/;

/** The paths of the packages that a node needs. */
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

/** Fills a directory, which is made; what lies in it is not removed. */
export function assemble(directory) {
  mkdirSync(directory, { recursive: true });
  packInto(directory);
  for (const path of productionPackages()) {
    const from = join(root, path);
    const isWanted = (file) => {
      const rest = file.slice(from.length);
      // Packages within packages are entries of their own.
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
