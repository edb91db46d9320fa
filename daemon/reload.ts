import type { Cluster } from './cluster/cluster.js';
import { changesOf, ReloadRefused } from './config/reload.js';
import { groupIds, loadSettings, type Settings } from './config/settings.js';
import { SettingsError } from './config/settings-error.js';
import type { Replication } from './replication/replication.js';

export interface ReloadParts {
  /** Path of the settings file as the daemon was started with; undefined if FIDFS_CONFIG names it, or if there is none. */
  configuration: string | undefined;
  /** The settings as they were read; the start may have changed some of those in use. */
  read: Settings;
  /** The settings of the running node, which change in place. */
  settings: Settings;
  /** The key in use. */
  key: string;
  /** The server ids of the group, which change in place. */
  ids: Set<number>;
  cluster: Pick<Cluster, 'reload'>;
  replication: Pick<Replication, 'reload'>;
  /** Lets nginx serve with the settings. Rejects with ReloadRefused if it cannot. */
  toNginx(): Promise<void>;
  info(context: object, message: string): void;
}

/** Reads the settings again and takes up what a running node can take up. */
export class Reload {
  private read: Settings;
  private running: Promise<unknown> = Promise.resolve();

  constructor(private readonly parts: ReloadParts) {
    this.read = parts.read;
  }

  /**
   * Takes up the changes, all or none. Resolves with the names of the settings that have changed. Rejects with ReloadRefused; the
   * settings are taken all the same if it says that nginx could not be reloaded.
   */
  run(): Promise<string[]> {
    const result = this.running.then(() => this.take());
    this.running = result.catch(() => {});
    return result;
  }

  private async take(): Promise<string[]> {
    const { settings, cluster, replication, ids, toNginx, info } = this.parts;
    const wanted = this.load();
    const names = changesOf(this.read, wanted, this.parts.key);
    // In one turn of the event loop: a request sees the members and `copies` from before, or those from now on.
    Object.assign(settings, Object.fromEntries(names.map((name) => [name, wanted[name]])));
    this.read = wanted;
    const now = groupIds(settings);
    for (const id of ids) if (!now.has(id)) ids.delete(id);
    for (const id of now) ids.add(id);
    replication.reload();
    cluster.reload();
    info({ changed: names }, 'the settings have been read again');
    await toNginx();
    return names;
  }

  private load(): Settings {
    try {
      return loadSettings(this.parts.configuration);
    } catch (error) {
      if (error instanceof SettingsError) throw new ReloadRefused(`${error.message}\nnothing was taken`);
      throw error;
    }
  }
}
