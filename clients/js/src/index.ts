export { Fidfs } from './client.js';
export { asFidfsError, FidfsError } from './error.js';
export type {
  BatchResult,
  Challenge,
  Deleted,
  FidfsOptions,
  FileInformation,
  KnownOptions,
  LinkOptions,
  ListedFile,
  ListOptions,
  StoredFile,
  TokenOptions,
  UploadData,
  UploadOptions,
} from './types.js';
