import { readFileSync } from 'node:fs';
import t from 'tap';
import { RELOADABLE } from '../../daemon/config/reload.js';
import { environmentName, SETTING_NAMES } from '../../daemon/config/settings.js';
import { CATALOGUE } from '../../daemon/operations/problems.js';

/** The cells of the first table of a page, without its heading. */
function table(page: string): string[][] {
  const text = readFileSync(new URL(`../../../docs/${page}`, import.meta.url), 'utf8');
  const lines = text.split('\n');
  const rows = lines.slice(lines.findIndex((line) => line.startsWith('|')));
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows.slice(2, end < 0 ? rows.length : end).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

t.test('docs/settings.md has every setting, and no other', async (t) => {
  const rows = table('settings.md').map(([key, environment]) => [key, environment]);
  t.strictSame(
    rows,
    SETTING_NAMES.map((key) => [`\`${key}\``, `\`${environmentName(key)}\``]),
  );
});

// Seen to fail with a mark taken away.
t.test('docs/settings.md marks what a running node takes up', async (t) => {
  const marked = table('settings.md').filter((row) => row.at(-1)?.endsWith('(reload)'));
  t.strictSame(
    marked.map(([key]) => key),
    RELOADABLE.map((key) => `\`${key}\``),
  );
});

t.test('docs/problems.md has every problem of the catalogue, and no other', async (t) => {
  const rows = table('problems.md').map(([name, status, title]) => [name, status, title]);
  t.strictSame(
    rows,
    Object.entries(CATALOGUE).map(([name, [status, title]]) => [`\`${name}\``, String(status), title]),
  );
});
