import { randomInt } from 'node:crypto';
import type { Test } from 'tap';

/** A reproducible random number generator. */
export interface Random {
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number;
  bytes(length: number): Buffer;
  pick<T>(things: readonly T[]): T;
}

/** Creates a generator seeded by TEST_SEED or randomly; prints the seed, so that a failure can be reproduced. */
export function seeded(t: Test): Random {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.comment(`seed ${seed}: repeat with TEST_SEED=${seed}`);
  return randomFrom(seed);
}

/** The Mulberry32 generator. */
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
