import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { integer, parseSize, SIZE_WORDS, value } from './values.js';

/*
 * The presets of pictures: what a picture is made into. Requests name a preset and give no numbers, so that the number of
 * pictures that can be made of a file is limited.
 */

/** How a picture is fitted into a width and a height, as in CSS's `object-fit` and sharp. */
export const FITS = ['cover', 'contain', 'inside', 'outside', 'fill'] as const;

/** What a picture is made into. At least one of width and height is set. */
export interface Preset {
  /** Pixels. */
  width?: number | undefined;
  /** Pixels. */
  height?: number | undefined;
  fit: (typeof FITS)[number];
  /** 1 to 100, as in JPEG. */
  quality: number;
}

/** The preset of the web page; the settings can replace it. */
const CONSOLE: Readonly<Record<string, Preset>> = { console: { width: 320, height: 320, fit: 'cover', quality: 80 } };

/** Source of a regular expression for the names of presets. */
export const PRESET_PATTERN = '[a-z0-9_-]{1,32}';

const MOST = 64;

/** Part of every digest: raise it when the same preset makes other pictures than before. */
const VERSION = 1;

const side = z.int().min(1).max(8192).optional();

const presetSchema = z
  .strictObject({
    width: side,
    height: side,
    fit: z.enum(FITS).default('cover'),
    quality: z.int().min(1).max(100).default(80),
  })
  .refine(({ width, height }) => width !== undefined || height !== undefined);

const EXAMPLE = '{"width":320,"height":320,"fit":"cover","quality":80}';
const PRESET_WORDS = `${EXAMPLE}: width and height from 1 to 8192, at least one of them; fit ${FITS.join(', ')}; quality from 1 to 100`;
const WORDS = `an object such as {"thumb":${EXAMPLE}}; in the environment as JSON`;

/** Parses JSON; undefined if it is malformed. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A schema for presets by their names: an object, or JSON of one. */
function presets() {
  return z.unknown().transform((given, context): Record<string, Preset> => {
    const fail = (message: string) => context.addIssue({ code: 'custom', message });
    const all = typeof given === 'string' ? parseJson(given) : given;
    if (typeof all !== 'object' || all === null || Array.isArray(all)) {
      fail(`write ${WORDS}`);
      return z.NEVER;
    }
    const entries = Object.entries(all);
    if (entries.length > MOST) fail(`these are ${entries.length} presets; write ${MOST} at most`);
    const parsed = entries.map(([name, preset]): [string, Preset] => {
      if (!new RegExp(`^${PRESET_PATTERN}$`).test(name)) {
        fail(`${JSON.stringify(name)} is no name of a preset; write 1 to 32 of a-z, 0-9, _ and -`);
      }
      const { success, data } = presetSchema.safeParse(preset);
      if (success) return [name, data];
      fail(`${JSON.stringify(name)} is not allowed as it is; write ${PRESET_WORDS}`);
      return [name, z.NEVER];
    });
    return Object.fromEntries(parsed);
  });
}

/** nginx takes a size of 0 for no limit. */
const LEAST_CACHE = 2 ** 20;

/** Parses the size of the cache; undefined if it is invalid. */
function parseCache(text: string): number | undefined {
  const bytes = parseSize(text);
  return bytes === undefined || bytes < LEAST_CACHE ? undefined : bytes;
}

/** The settings of pictures. */
export const pictureSettings = {
  pictures: presets().default({}),
  pictureCache: value(parseCache, `${SIZE_WORDS}; at least 1MiB`).default(2 ** 30),
  pictureProcesses: value(integer(1, 256), 'a number from 1 to 256').default(
    Math.max(1, Math.floor(availableParallelism() / 2)),
  ),
  picturePixels: value(integer(1, 1e9), 'a number of pixels from 1 to 1000000000').default(100_000_000),
};

/** All presets by their names: those of the settings, and that of the web page. */
export function allPresets({ pictures }: { pictures: Readonly<Record<string, Preset>> }): ReadonlyMap<string, Preset> {
  return new Map(Object.entries({ ...CONSOLE, ...pictures }));
}

/** 12 hexadecimal digits that differ if two presets make different pictures. */
export function presetDigest({ width, height, fit, quality }: Preset): string {
  const definition = JSON.stringify([VERSION, width ?? null, height ?? null, fit, quality]);
  return createHash('sha256').update(definition).digest('hex').slice(0, 12);
}
