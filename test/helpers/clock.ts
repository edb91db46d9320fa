/** Runs `run` with `Date.now` of this process shifted by `milliseconds`, which may be negative. */
export async function atAnotherTime<Result>(milliseconds: number, run: () => Promise<Result>): Promise<Result> {
  const { now } = Date;
  Date.now = () => now() + milliseconds;
  try {
    return await run();
  } finally {
    Date.now = now;
  }
}
