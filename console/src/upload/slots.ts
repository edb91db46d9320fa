/** A semaphore: grants a fixed number of slots at a time, in the order of requests. */
export class Slots {
  private readonly queue: (() => void)[] = [];

  constructor(private free: number) {}

  /** Resolves with a function that releases the slot. Rejects with the signal's reason. */
  async take(abort: AbortSignal): Promise<() => void> {
    abort.throwIfAborted();
    if (this.free > 0) this.free--;
    else await this.turn(abort);
    let isMine = true;
    return () => {
      if (isMine) this.give();
      isMine = false;
    };
  }

  private turn(abort: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        abort.removeEventListener('abort', stop);
        resolve();
      };
      const stop = () => {
        this.queue.splice(this.queue.indexOf(go), 1);
        reject(abort.reason);
      };
      this.queue.push(go);
      abort.addEventListener('abort', stop, { once: true });
    });
  }

  private give(): void {
    const next = this.queue.shift();
    if (next) next();
    else this.free++;
  }
}
