import t from 'tap';
import { Identifiers } from '../../daemon/store/identifiers.js';

// Each seen to fail by `npm run mutate`.

t.test('two equal files of 4 GiB and more never get the same ID', (t) => {
  const identifiers = new Identifiers(1, 0, () => 1_795_000_000_000);
  const keys = Array.from({ length: 20 }, () => identifiers.next(2 ** 32, 7, 'bin').bytes.toString('hex'));
  t.equal(new Set(keys).size, keys.length);
  t.end();
});

t.test('the second never goes back with the clock', (t) => {
  let now = 1_795_000_000_000;
  const identifiers = new Identifiers(1, 0, () => now);
  const { created } = identifiers.next(1, 7, 'bin');
  now -= 5000;
  t.equal(identifiers.next(1, 7, 'bin').created, created);
  t.end();
});
