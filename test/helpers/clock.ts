/** Runs something while the time of day of this process is set forward, or back, by so many milliseconds. */
export async function atAnotherTime<Result>(milliseconds: number, run: () => Promise<Result>): Promise<Result> {
  const { now } = Date;
  Date.now = () => now() + milliseconds;
  try {
    return await run();
  } finally {
    Date.now = now;
  }
}
