// The Debian package: npm run package:deb [-- --directory . --version 0.2.0]. Needs dpkg-deb, and the Node of the machines that it is for: addons
// are compiled for one major version of it.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { assemble } from './assemble.mjs';
import { exists, orExit, root } from './run.mjs';

const SOURCES = join(root, 'deploy/debian');
const LIBRARY = '/usr/lib/fidfs';
const SCRIPTS = ['postinst', 'prerm', 'postrm'];
const CONFIGURATION = ['/etc/fidfs/fidfs.json', '/etc/logrotate.d/fidfs'];

/** What the addons were compiled for. */
function dependencies() {
  const major = Number(process.versions.node.split('.')[0]);
  const least = major === 20 ? '20.19' : major;
  const { glibcVersionRuntime } = process.report.getReport().header;
  return [
    `nodejs (>= ${least})`,
    `nodejs (<< ${major + 1})`,
    `libc6 (>= ${glibcVersionRuntime})`,
    ...['libstdc++6', 'nginx', 'libnginx-mod-http-js', 'passwd'],
  ].join(', ');
}

function control(version, kibibytes) {
  const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
  const text = `Package: fidfs
Version: ${version}
Architecture: ${architecture}
Maintainer: The fidfs project <fidfs@localhost>
Installed-Size: ${kibibytes}
Depends: ${dependencies()}
Recommends: logrotate, ca-certificates
Section: httpd
Priority: optional
Description: distributed file store made of nginx and Node
 A file goes in by HTTP POST and gets an ID, which is its address and its
 checksum, compatible with FastDFS. nginx serves the files, a daemon stores
 them durably and copies them to the other nodes of its group.
`;
  return { text, architecture };
}

function filesBelow(directory) {
  return readdirSync(directory, { recursive: true })
    .filter((file) => statSync(join(directory, file)).isFile())
    .sort();
}

function install(from, tree, to, mode = 0o644) {
  mkdirSync(join(tree, dirname(to)), { recursive: true });
  copyFileSync(from, join(tree, to));
  chmodSync(join(tree, to), mode);
}

/** Fills a directory with what the package unpacks on a machine. */
async function fill(tree) {
  assemble(join(tree, LIBRARY));
  const { serviceUnit } = await import('../dist/daemon/cli/service-unit.js');
  const unit = join(tree, '/usr/lib/systemd/system/fidfs.service');
  mkdirSync(dirname(unit), { recursive: true });
  writeFileSync(unit, serviceUnit({ root: LIBRARY, node: '/usr/bin/node' }));
  install(join(SOURCES, 'fidfs'), tree, '/usr/bin/fidfs', 0o755);
  install(join(SOURCES, 'logrotate'), tree, '/etc/logrotate.d/fidfs');
  install(join(root, 'deploy/systemd/fidfs.json'), tree, '/etc/fidfs/fidfs.json');
  install(join(root, 'LICENSE'), tree, '/usr/share/doc/fidfs/copyright');
}

/** Makes the package; returns its file. */
export async function packageDeb(directory, version) {
  if (!exists('dpkg-deb')) throw new Error('dpkg-deb is missing; it is part of Debian and its kin (package dpkg)');
  const tree = mkdtempSync(join(tmpdir(), 'fidfs-deb-'));
  try {
    chmodSync(tree, 0o755);
    await fill(tree);
    const files = filesBelow(tree);
    const bytes = files.reduce((sum, file) => sum + statSync(join(tree, file)).size, 0);
    const { text, architecture } = control(version, Math.ceil(bytes / 1024));
    const sums = files.map(
      (file) =>
        `${createHash('md5')
          .update(readFileSync(join(tree, file)))
          .digest('hex')}  ${file}\n`,
    );
    mkdirSync(join(tree, 'DEBIAN'));
    for (const script of SCRIPTS) install(join(SOURCES, script), tree, `DEBIAN/${script}`, 0o755);
    const meta = { control: text, md5sums: sums.join(''), conffiles: `${CONFIGURATION.join('\n')}\n` };
    for (const [name, content] of Object.entries(meta)) writeFileSync(join(tree, 'DEBIAN', name), content);
    // Whatever umask made it.
    execFileSync('chmod', ['-R', 'u+rwX,go+rX,go-w', tree]);
    const file = join(resolve(directory), `fidfs_${version}_${architecture}.deb`);
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', tree, file], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return file;
  } finally {
    rmSync(tree, { recursive: true });
  }
}

if (import.meta.filename === process.argv[1]) {
  await orExit(async () => {
    const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
    const options = { directory: { type: 'string', default: root }, version: { type: 'string', default: own } };
    const { values } = parseArgs({ options });
    process.stdout.write(`${await packageDeb(values.directory, values.version)}\n`);
  });
}
