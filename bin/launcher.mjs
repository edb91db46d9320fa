// npm and npx exit after a signal without stopping the node that they started; this module stops it then.
import { readFileSync } from 'node:fs';

const LOOK_MILLISECONDS = 500;

/** Reads a process: its identity, which includes the start time because process ids are reused, and its command line. */
function look(pid) {
  try {
    // The program's name, in parentheses, may contain any character.
    const [state, parent, , session, ...rest] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    if (state === 'Z' || state === 'X') return undefined;
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return { pid, parent: Number(parent), session, started: rest[15], words };
  } catch {
    return undefined; // it has ended
  }
}

/** Whether a process is a shell that npm started for one command and that waits for it, with nothing in the background. */
function isWaitingShell({ words: [name = '', option, script = ''] }) {
  return /(?:^|\/)\w*sh$/.test(name) && option === '-c' && !/(?:^|[^&>])&(?![&>\d])|\b(?:nohup|setsid)\b/.test(script);
}

function isNpm({ words: [first = '', second = ''] }) {
  return /^(?:npm|npx|pnpm|yarn)(?: |$)/.test(first) || /\/(?:npm|npx|pnpm|yarn)[\w-]*(?:\.c?js)?$/.test(second);
}

/**
 * Returns the npm, npx, pnpm or yarn that started this process, directly or by a shell, and waits for it; otherwise undefined.
 * The exit of another parent does not mean that the node is to stop, as with a shell that starts it by setsid.
 */
export function findLauncher() {
  if (process.env.npm_execpath === undefined && process.env.npm_config_user_agent === undefined) return undefined;
  const self = look(process.pid);
  const parent = look(self?.parent);
  const candidate = parent && isWaitingShell(parent) ? look(parent.parent) : parent;
  return candidate && isNpm(candidate) && candidate.session === self.session ? candidate : undefined;
}

/** Sends SIGTERM to this process when its launcher has exited. */
export function stopWithLauncher(launcher) {
  if (!launcher) return;
  const timer = setInterval(() => {
    if (look(launcher.pid)?.started === launcher.started) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_MILLISECONDS);
  timer.unref();
}
