import { signal } from '@preact/signals';
import { serverUrl } from './address';
import { requestJson } from './http/request';

/** What the server tells everybody. */
export interface ServerSettings {
  uploads: 'key' | 'open';
  maxFileSize: number;
  /** What public addresses begin with; absent where nobody has said. */
  publicUrl?: string;
}

const AGAIN_MILLISECONDS = 5000;

/** Undefined until the server has answered. */
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

/** Asks from now on until there is an answer. */
export const settingsLoaded = load();

/** Where others find a file. */
export function publicAddressOf(id: string): string {
  return `${serverSettings.value?.publicUrl ?? serverUrl}/${id}`;
}
