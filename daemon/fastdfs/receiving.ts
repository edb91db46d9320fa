import type { FileId } from '../../file-id/file-id.js';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import type { ReceivedFile } from '../store/incoming-file.js';
import { counted } from '../words.js';
import type { Addresses, StorageAddress } from './addresses.js';
import { type Fields, invalid, Width } from './codec.js';
import type { Body } from './connection.js';
import { holderOf, slaveTakerOf } from './holder.js';
import { parseName } from './names.js';
import { type OpenFile, openFile } from './open-file.js';

/** The longest body of a command without data: fixed fields, a group and a name. */
export const LONGEST_NAME_BODY = 512;

/** What the storage commands need of the node. */
export type StorageParts = Pick<
  Node,
  'settings' | 'store' | 'index' | 'cluster' | 'copyPolicy' | 'replication' | 'underWay'
>;

/** What the storage commands have in common: the names and the data in their bodies. */
export class Receiving {
  constructor(
    private readonly node: StorageParts,
    private readonly addresses: Addresses,
  ) {}

  /** The other node that takes a command about a file that is not here; see `holderOf`. */
  holderOf(id: FileId & { text: string }): Promise<StorageAddress | undefined> {
    return holderOf(id, this.node, this.addresses);
  }

  /** The other node that takes a slave of a file; see `slaveTakerOf`. */
  slaveTakerOf(id: FileId & { text: string }): Promise<StorageAddress | undefined> {
    return slaveTakerOf(id, this.node, this.addresses);
  }

  /**
   * Receives the data of an upload, which is the rest of the body. Rejects with a WireError, a StoreError or ClientGone.
   * @param storePath the store path that it must go to; otherwise one is chosen
   */
  async receive(body: Body, size: number, extension: string, storePath?: number): Promise<ReceivedFile> {
    const { maxFileSize } = this.node.settings;
    if (size !== body.left) throw invalid(`the size is ${size} and ${counted(body.left, 'byte')} follow`);
    if (size > maxFileSize) throw invalid(`a file may have up to ${counted(maxFileSize, 'byte')}`);
    const file = this.node.store.receive(size, undefined, storePath);
    try {
      await body.stream(file);
      return await file.finish(extension);
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  /** Opens a file of any group. Rejects with a Problem (not-found, unavailable). */
  async open(id: FileId & { text: string }): Promise<OpenFile> {
    const file = await openFile(id, this.node);
    if (!file) throw new Problem('not-found', `There is no file ${id.text}.`);
    return file;
  }

  /** Reads a name of this node's group, as commands have it that name no group. Rejects with a WireError (22). */
  async nameOfLength(body: Body, length: number): Promise<{ id: FileId & { text: string }; bytes: Buffer }> {
    if (length > LONGEST_NAME_BODY) throw invalid('the name is too long');
    const bytes = await body.read(length);
    return { id: parseName(this.node.settings.group, bytes.toString('latin1')), bytes };
  }

  /** Reads a group and the name to the end of the body. Throws a WireError (22), also if no node is of this group. */
  nameAfterGroup(fields: Fields): FileId & { text: string } {
    return this.known(fields.padded(Width.group), fields.rest().toString('latin1'));
  }

  /** The ID of a group and a name. Throws a WireError (22), also if no node is of this group. */
  known(group: string, name: string): FileId & { text: string } {
    const id = parseName(group, name);
    if (!this.node.cluster.groups.includes(group)) throw invalid(`there is no group ${group} here`);
    return id;
  }
}
