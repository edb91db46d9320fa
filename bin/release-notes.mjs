// Prints the section of a release in the changelog: node bin/release-notes.mjs v0.2.0 [CHANGELOG.md]
// Fails if the tag differs from the version in package.json, or the changelog has no such section.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { orExit, root } from './run.mjs';

/** Returns the section of a version, from its heading to the next one. */
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
