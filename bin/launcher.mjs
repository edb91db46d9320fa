// npm and npx end at a signal, or are killed, and would leave the node that they began running with nobody to stop it.
import { readFileSync } from 'node:fs';

const LOOK_MILLISECONDS = 500;

/** A process: who it is (its number alone may be another's by now), and how it was called. */
function look(pid) {
  try {
    // The program's name, in parentheses, may hold anything.
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

/** A shell that npm began for one program, which it waits for: it puts nothing into the background. */
function isWaitingShell({ words: [name = '', option, script = ''] }) {
  return /(?:^|\/)\w*sh$/.test(name) && option === '-c' && !/(?:^|[^&>])&(?![&>\d])|\b(?:nohup|setsid)\b/.test(script);
}

function isNpm({ words: [first = '', second = ''] }) {
  return /^(?:npm|npx|pnpm|yarn)(?: |$)/.test(first) || /\/(?:npm|npx|pnpm|yarn)[\w-]*(?:\.c?js)?$/.test(second);
}

/**
 * The npm, npx, pnpm or yarn that began this process and waits for it, directly or by a shell; undefined for everything
 * else: a parent that is another program may end and mean nothing by it, as a shell that starts a node by setsid does.
 */
export function findLauncher() {
  if (process.env.npm_execpath === undefined && process.env.npm_config_user_agent === undefined) return undefined;
  const self = look(process.pid);
  const parent = look(self?.parent);
  const candidate = parent && isWaitingShell(parent) ? look(parent.parent) : parent;
  return candidate && isNpm(candidate) && candidate.session === self.session ? candidate : undefined;
}

/** Asks this process to stop, by SIGTERM, when its launcher is no more. */
export function stopWithLauncher(launcher) {
  if (!launcher) return;
  const timer = setInterval(() => {
    if (look(launcher.pid)?.started === launcher.started) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_MILLISECONDS);
  timer.unref();
}
