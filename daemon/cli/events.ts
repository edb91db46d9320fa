import { loadSettings } from '../config/settings.js';
import { CommandFailed, UsedWrongly } from './errors.js';
import { print } from './output.js';
import { parseWhen } from './times.js';

export interface EventsOptions {
  config?: string;
  follow?: boolean;
  from?: string;
}

/** Prints the events of the cluster, one a line in JSON. Rejects with CommandFailed if NATS cannot be reached or read. */
export async function events({ config, follow = false, from }: EventsOptions): Promise<void> {
  if (!follow && from === undefined) throw new UsedWrongly('write --follow, --from with a time, or both');
  const begin = from === undefined ? undefined : parseWhen('--from', from);
  const settings = loadSettings(config);
  if (settings.nats.length === 0)
    throw new CommandFailed('events are read from NATS; its servers are not set in "nats"');
  const [{ Nats }, { readEvents }] = await Promise.all([import('../nats/connection.js'), import('../events/read.js')]);
  const quiet = { info: () => {}, warn: () => {} };
  try {
    const connection = await new Nats(settings, 'fidfs events', quiet).connect();
    try {
      for await (const event of readEvents(connection, settings.clusterName, { from: begin, follow })) {
        print(`${event}\n`);
      }
    } finally {
      await connection.close();
    }
  } catch (error) {
    throw new CommandFailed(`the events cannot be read from NATS: ${(error as Error).message}`, { cause: error });
  }
}
