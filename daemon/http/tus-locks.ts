import type { Lock, Locker } from '@tus/server';

/** One lock per upload. A new request interrupts the body of the one before, because its client has reconnected. */
export class Locks implements Locker {
  private isStopping = false;
  private readonly held = new Map<string, { interrupt(): void; released: Promise<void> }>();

  newLock(id: string): Lock {
    let release = () => {};
    const lock = async () => {
      for (let before = this.held.get(id); before; before = this.held.get(id)) {
        before.interrupt();
        await before.released;
      }
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      this.held.set(id, { interrupt: () => {}, released });
    };
    const unlock = async () => {
      this.held.delete(id);
      release();
    };
    return { lock, unlock };
  }

  /** Runs `read` while the lock is held; a new request for the upload, or `interruptAll`, calls `interrupt`. */
  async interruptible(id: string, interrupt: () => void, read: () => Promise<void>): Promise<void> {
    const holder = this.held.get(id);
    if (!holder) throw new Error(`the upload ${id} is not locked`);
    holder.interrupt = interrupt;
    if (this.isStopping) interrupt();
    try {
      await read();
    } finally {
      holder.interrupt = () => {};
    }
  }

  /** Interrupts all bodies being received, and all later ones as they begin. */
  interruptAll(): void {
    this.isStopping = true;
    for (const { interrupt } of this.held.values()) interrupt();
  }
}
