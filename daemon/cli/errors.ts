/** The command failed: exit status 1. The message says what failed and what to do. */
export class CommandFailed extends Error {
  override name = 'CommandFailed';
}

/** The command was used wrongly: exit status 2. */
export class UsedWrongly extends Error {
  override name = 'UsedWrongly';
}
