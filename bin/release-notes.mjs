// Prints what the changelog says of a release: node bin/release-notes.mjs v0.2.0 [CHANGELOG.md]
// Fails when the tag is not the version in package.json, or the changelog has nothing to say of it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { orExit, root } from './run.mjs';

/** The section of a version: what lies between its heading and the next one. */
function notesOf(changelog, version) {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => /^\S*/.exec(text)[0] === version);
  return section?.slice(section.indexOf('\n')).trim();
}

await orExit(() => {
  const [tag = '', file = join(root, 'CHANGELOG.md')] = process.argv.slice(2);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  if (tag !== `v${version}`)
    throw new Error(`the tag is "${tag}" and package.json has version ${version}; they must agree`);
  const notes = notesOf(readFileSync(file, 'utf8'), version);
  if (!notes) throw new Error(`${file} has no section "## ${version}", or nothing in it; write what changed`);
  process.stdout.write(`${notes}\n`);
});
