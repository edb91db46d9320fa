import { readFileSync } from 'node:fs';

/** The command line of a process; empty if it has ended. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // the process has ended
  }
}

/** The process ids of a process's children; none if it has ended. */
export function childrenOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return children
      .split(' ')
      .filter((one) => one !== '')
      .map(Number);
  } catch {
    return []; // the process has just ended
  }
}
