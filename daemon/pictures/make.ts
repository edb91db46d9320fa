import type { FitEnum, Metadata, Sharp, SharpOptions } from 'sharp';
import type { Made, Order } from './order.js';

/** The module sharp, which is optional and therefore not imported here. */
export type SharpModule = typeof import('sharp').default;

/** Classes of libvips's loaders for the formats that are read. Others, such as those for SVG and PDF, are never called. */
const LOADERS = ['Jpeg', 'Png', 'Nsgif', 'Webp', 'Heif', 'Tiff'].map((name) => `VipsForeignLoad${name}`);

/** The names that sharp has for these formats. */
const FORMATS = new Set(['jpeg', 'png', 'gif', 'webp', 'heif', 'tiff']);

/** AVIF looks as good as JPEG of a quality with this share of it. */
const AVIF_QUALITY = 0.7;

/** The original is not a picture that is read here. The message says why, and names no path. */
export class NotAPicture extends Error {
  override name = 'NotAPicture';
}

/** Sets what holds for the whole process: one thread, no cache, no loaders but those that are needed. */
export function prepare(sharp: SharpModule): void {
  sharp.concurrency(1);
  sharp.cache(false);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: LOADERS });
}

/** Makes a picture of a file (a path) or its bytes. Rejects with NotAPicture, or with an error of sharp. */
export async function makePicture(
  sharp: SharpModule,
  input: string | Buffer,
  { preset, accepted, pixels }: Omit<Order, 'original'>,
): Promise<Made> {
  const options: SharpOptions = { failOn: 'truncated', limitInputPixels: pixels };
  const metadata = await sharp(input, options).metadata();
  const { format, pages = 1, compression } = metadata;
  if (!FORMATS.has(format) || (format === 'heif' && compression !== 'av1')) throw new NotAPicture(`it is ${format}`);
  const isAnimated = pages > 1 && (format === 'gif' || format === 'webp');
  const type = typeFor(metadata, isAnimated, accepted);
  const opened = sharp(input, { ...options, animated: isAnimated });
  // sharp rotates no animations.
  const upright = isAnimated ? opened : opened.autoOrient();
  const resized = upright.resize({
    ...(preset.width === undefined ? {} : { width: preset.width }),
    ...(preset.height === undefined ? {} : { height: preset.height }),
    fit: preset.fit satisfies keyof FitEnum,
    withoutEnlargement: true,
    background: type === 'image/jpeg' ? '#fff' : { r: 255, g: 255, b: 255, alpha: 0 },
  });
  // Without withMetadata, sharp converts colours from the profile of the original to sRGB and drops all metadata.
  const bytes = await encode(resized.toColourspace('srgb'), type, preset.quality).toBuffer();
  return { type, bytes };
}

function typeFor({ format, hasAlpha }: Metadata, isAnimated: boolean, accepted: readonly string[]): string {
  if (isAnimated) return accepted.includes('image/webp') ? 'image/webp' : 'image/gif';
  const [best] = ['image/avif', 'image/webp'].filter((type) => accepted.includes(type));
  if (best !== undefined) return best;
  return format === 'jpeg' || (!hasAlpha && format !== 'png' && format !== 'gif') ? 'image/jpeg' : 'image/png';
}

function encode(picture: Sharp, type: string, quality: number): Sharp {
  switch (type) {
    case 'image/avif':
      return picture.avif({ quality: Math.ceil(quality * AVIF_QUALITY), chromaSubsampling: '4:2:0' });
    case 'image/webp':
      return picture.webp({ quality });
    case 'image/gif':
      return picture.gif();
    case 'image/png':
      return picture.png();
    default:
      return picture.jpeg({ quality });
  }
}
