import { randomInt } from 'node:crypto';
import type { Test } from 'tap';

/** A repeatable source of randomness. */
export interface Random {
  /** 0 up to, but not including, `limit`. */
  below(limit: number): number;
  bytes(length: number): Buffer;
  pick<T>(things: readonly T[]): T;
}

/** Seeded by TEST_SEED or anew; the seed is printed, so that a failure can be repeated. */
export function seeded(t: Test): Random {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.comment(`seed ${seed}: repeat with TEST_SEED=${seed}`);
  return randomFrom(seed);
}

/** Mulberry32: small, even, and the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number) => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    pick: (things) => things[below(things.length)] as (typeof things)[number],
    bytes(length) {
      const bytes = Buffer.allocUnsafe(length);
      for (let offset = 0; offset + 4 <= length; offset += 4) bytes.writeUInt32LE(next(), offset);
      for (let offset = length - (length % 4); offset < length; offset++) bytes[offset] = next() & 0xff;
      return bytes;
    },
  };
}
