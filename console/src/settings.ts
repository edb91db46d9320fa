import { signal } from '@preact/signals';
import { serverUrl } from './address';
import { requestJson } from './http/request';

/** The server's public settings, from `console/settings.json`. */
export interface ServerSettings {
  uploads: 'key' | 'open';
  maxFileSize: number;
  /** Base of public addresses; absent if not set. */
  publicUrl?: string;
  /** Whether addresses of files contain the group. */
  urlHasGroup: boolean;
}

const AGAIN_MILLISECONDS = 5000;

/** Undefined until loaded. */
export const serverSettings = signal<ServerSettings | undefined>(undefined);

async function load(): Promise<void> {
  while (!serverSettings.value) {
    try {
      serverSettings.value = await requestJson<ServerSettings>('console/settings.json');
    } catch {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MILLISECONDS));
    }
  }
}

/** Resolves when the settings are loaded; failed requests are repeated. */
export const settingsLoaded = load();

/** Returns the public address of a file. */
export function publicAddressOf(id: string): string {
  const path = serverSettings.value?.urlHasGroup === false ? id.slice(id.indexOf('/') + 1) : id;
  return `${serverSettings.value?.publicUrl ?? serverUrl}/${path}`;
}
