import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CommandFailed } from './errors.js';

/** The system user that a service runs as. */
export const USER = 'fidfs';
export const SETTINGS_FILE = '/etc/fidfs/fidfs.json';
export const DATA = '/var/lib/fidfs';

/** The directory of the project, or of the installed package. */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

/** The text of a new service's settings file. */
export function newSettings(): string {
  return readFileSync(`${ROOT}/deploy/systemd/fidfs.json`, 'utf8');
}

/** Values of the unit file: the directory of the program, the Node executable, and the directories whose mounts it requires. */
interface Paths {
  root: string;
  node: string;
  data: string;
  storePaths: string[];
}

/** The text of the systemd unit. Throws CommandFailed for a path that a unit file cannot contain. */
export function serviceUnit({
  root = ROOT,
  node = process.execPath,
  data = DATA,
  storePaths = [],
}: Partial<Paths>): string {
  for (const path of [root, node, data, ...storePaths]) {
    const character = /[^\w./+@:,=-]/u.exec(path)?.[0];
    if (character !== undefined) {
      throw new CommandFailed(`${path}: a systemd unit cannot name a path with "${character}"; use one without it`);
    }
  }
  const words: Record<string, string> = {
    ...{ ROOT: root, NODE: node, DATA: data, USER, CONFIG: SETTINGS_FILE },
    MOUNTS: [data, ...storePaths].join(' '),
  };
  const template = readFileSync(`${ROOT}/deploy/systemd/fidfs.service`, 'utf8');
  return template.replace(/@([A-Z]+)@/g, (_, name: string) => {
    const word = words[name];
    if (word === undefined) throw new Error(`deploy/systemd/fidfs.service: @${name}@ stands for nothing`);
    return word;
  });
}
