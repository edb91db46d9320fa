import { type Calls, realCalls } from '../../daemon/store/calls.js';

/** Which system call fails, and how. */
export interface Fault {
  /** The number of the call that fails, from 1. */
  at: number;
  /** An errno name; `short` writes half of the bytes, and fails the next write with ENOSPC. */
  code: string;
  /** Whether all later calls fail, too. */
  isLasting: boolean;
}

/** File system calls with fault injection. Syncs do nothing: power cuts are tested elsewhere. */
export class FaultyDisk {
  /** Calls so far. */
  count = 0;
  /** The calls that failed, by name. */
  readonly failed: string[] = [];
  readonly calls: Calls;
  private isWell = false;
  private isFull = false;

  constructor(private readonly fault: Fault) {
    const real = realCalls;
    const now =
      <Parameters extends unknown[], Result>(name: string, call: (...parameters: Parameters) => Result) =>
      (...parameters: Parameters): Result => {
        this.pass(name);
        return call(...parameters);
      };
    const later =
      <Parameters extends unknown[], Result>(name: string, call: (...parameters: Parameters) => Promise<Result>) =>
      async (...parameters: Parameters): Promise<Result> => {
        this.pass(name);
        return call(...parameters);
      };
    const nothing = async () => {};
    this.calls = {
      openSync: now('open', real.openSync),
      // The descriptor is released even if close fails.
      closeSync: (descriptor) => {
        real.closeSync(descriptor);
        this.pass('close');
      },
      close: async (descriptor) => {
        await real.close(descriptor);
        this.pass('close');
      },
      writeSync: (descriptor, bytes, offset, length, position) =>
        real.writeSync(descriptor, bytes, offset, this.lengthOf('write', length), position),
      write: async (descriptor, bytes, offset, length) =>
        real.write(descriptor, bytes, offset, this.lengthOf('write', length)),
      ftruncateSync: now('truncate', real.ftruncateSync),
      futimesSync: now('utimes', real.futimesSync),
      truncateSync: now('truncate', real.truncateSync),
      utimesSync: now('utimes', real.utimesSync),
      linkSync: now('link', real.linkSync),
      renameSync: now('rename', real.renameSync),
      removeSync: now('remove', real.removeSync),
      mkdirSync: now('mkdir', real.mkdirSync),
      fsync: later('fsync', nothing),
      fdatasync: later('fdatasync', nothing),
      syncfs: later('syncfs', nothing),
    };
  }

  /** Disables the fault. */
  heal(): void {
    this.isWell = true;
  }

  /** Counts a call and throws if it must fail. */
  pass(name: string): void {
    if (this.isDue() && this.fault.code !== 'short') this.fail(name, this.fault.code);
  }

  private isDue(): boolean {
    this.count++;
    const { at, isLasting } = this.fault;
    return !this.isWell && (this.count === at || (isLasting && this.count > at));
  }

  private lengthOf(name: string, length: number): number {
    const isDue = this.isDue();
    if (this.isFull || (isDue && this.fault.code !== 'short')) {
      this.isFull = false;
      this.fail(name, isDue && this.fault.code !== 'short' ? this.fault.code : 'ENOSPC');
    }
    if (!isDue) return length;
    this.isFull = true;
    return length >> 1;
  }

  private fail(name: string, code: string): never {
    this.failed.push(name);
    throw Object.assign(new Error(`${code}: on purpose, in ${name}`), { code });
  }
}
