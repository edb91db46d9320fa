/** The command failed: exit status 1. The message says what failed and what to do. */
export class CommandFailed extends Error {
  override name = 'CommandFailed';
}

/** A request failed. `status` is that of the answer; undefined if there was none, 0 if it broke off. */
export class RequestFailed extends CommandFailed {
  override name = 'RequestFailed';

  constructor(
    message: string,
    readonly status: number | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether the same request may succeed later. */
  get isTemporary(): boolean {
    return !this.status || this.status === 429 || (this.status >= 500 && this.status !== 501);
  }
}

/** The command was used wrongly: exit status 2. */
export class UsedWrongly extends Error {
  override name = 'UsedWrongly';
}
