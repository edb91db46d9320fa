import type { Preset } from '../config/pictures.js';

/*
 * The messages between the daemon and the processes that make pictures.
 */

/** Media types that a picture is made into only for clients that accept them. */
export const NEGOTIATED = ['image/avif', 'image/webp'] as const;

/** A file on this node's disk, or a part of it. */
export interface Original {
  path: string;
  /** The part, in bytes; the whole file without it. */
  part?: { offset: number; size: number };
  /** Of the whole file, in hex, if it is known: of a damaged file no picture is made, because pictures are kept. */
  sha256?: string;
}

/** What a process is asked for. */
export interface Order {
  original: Original;
  preset: Preset;
  /** Those of NEGOTIATED that the client accepts. */
  accepted: readonly string[];
  /** The largest number of pixels of the original, all frames together. */
  pixels: number;
}

/** A picture. */
export interface Made {
  /** Its media type. */
  type: string;
  bytes: Uint8Array;
}

/** What a process says of itself, and answers to an order. Reasons are human-readable. */
export type PictureMessage =
  | { kind: 'ready' }
  /** sharp cannot be loaded. */
  | { kind: 'missing'; reason: string }
  | { kind: 'made'; made: Made }
  /** The original is not a picture that is read here. */
  | { kind: 'refused'; reason: string }
  /** The bytes of the original are not those that were stored. */
  | { kind: 'damaged'; reason: string }
  /** The original cannot be opened or read. */
  | { kind: 'unreadable'; reason: string; isGone: boolean };
