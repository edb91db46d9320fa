import { ReloadRefused } from './config/reload.js';
import type { Settings } from './config/settings.js';

/*
 * Messages between the daemon and the supervisor, its parent process (`fidfs start`), which runs nginx.
 */

/** How long the supervisor may take to reload nginx. */
const NGINX_MILLISECONDS = 30_000;

/** Message of the daemon to the supervisor. */
export type DaemonMessage =
  | {
      type: 'ready';
      keyMade: boolean;
      /** Human-readable reason why the node is not ready; undefined if it is. */
      notReady: string | undefined;
    }
  | { type: 'failed'; message: string; portTaken: boolean }
  | { type: 'drained' }
  /** The settings have changed: nginx is to serve with these. JSON has no undefined, so that settings without a value are left out. */
  | { type: 'settings'; settings: Settings };

/** Message of the supervisor to the daemon. */
export type SupervisorMessage =
  | { type: 'drain' }
  /** Read the settings again. */
  | { type: 'reload' }
  /** The answer to `settings`. `problem`: human-readable reason why nginx was not reloaded; undefined if it was. */
  | { type: 'nginx'; problem?: string };

export function tell(message: DaemonMessage): void {
  process.send?.(message);
}

/** Lets the supervisor reload nginx with these settings. Rejects with ReloadRefused if it does not. */
export async function reloadNginx(settings: Settings): Promise<void> {
  const taken = 'the daemon has taken the settings, nginx has not';
  if (!process.connected) throw new ReloadRefused(`${taken}: the daemon was not started by "fidfs start"`);
  const problem = await new Promise<string | undefined>((resolve) => {
    const end = (text: string | undefined) => {
      clearTimeout(timer);
      process.off('message', heard);
      resolve(text);
    };
    const heard = (message: SupervisorMessage) => message.type === 'nginx' && end(message.problem);
    const timer = setTimeout(() => end('"fidfs start" does not answer'), NGINX_MILLISECONDS);
    process.on('message', heard);
    tell({ type: 'settings', settings });
  });
  if (problem !== undefined) throw new ReloadRefused(`${taken}: ${problem}`);
}
