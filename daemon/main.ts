import { join } from 'node:path';
import type { Logger } from 'pino';
import { nginxDirectory } from '../nginx/write.js';
import { makeDataDirectory, restrictAccess } from './access.js';
import { Alarms } from './alarm.js';
import { Cluster } from './cluster/cluster.js';
import { RECORDS } from './cluster/hello.js';
import { readOrMakeKey } from './config/key.js';
import { KeyRing } from './config/key-ring.js';
import { ReloadRefused } from './config/reload.js';
import { formatAddress, groupIds, groupPeers, loadSettings, type Settings } from './config/settings.js';
import { areEventsOn, createEvents } from './events/create.js';
import { createFastdfs } from './fastdfs/server.js';
import { createServer } from './http/server.js';
import { Index } from './index/index.js';
import { lockDataDirectory, lockStorePath } from './index/lock.js';
import { createLog } from './log.js';
import { createMetrics } from './operations/metrics.js';
import { Observer } from './operations/observer.js';
import { RequestsUnderWay } from './operations/requests-under-way.js';
import { Pictures } from './pictures/pictures.js';
import { Reload, type ReloadParts } from './reload.js';
import { Acknowledgements } from './replication/acknowledgements.js';
import { CopyPolicy, isGone } from './replication/copy-policy.js';
import { Replication } from './replication/replication.js';
import { Requests } from './requests.js';
import { type Node, notReady } from './status.js';
import { Ballast } from './store/ballast.js';
import { canSyncFileSystems } from './store/calls.js';
import { StoreError, WrongStorePath } from './store/errors.js';
import { recover } from './store/recovery.js';
import { Store, type Warn } from './store/store.js';
import { StorePath } from './store/store-path.js';
import { whatIsOn } from './store/unused.js';
import { reloadNginx, type SupervisorMessage, tell } from './supervision.js';
import { watchPromises } from './watch.js';

/** How long a daemon whose supervisor was killed may take to stop. */
const ORPHAN_MILLISECONDS = 30_000;

/** Maximum number of bytes that recovery writes to the data directory at a start. */
const START_BYTES = 512 * 1024;

/** The daemon cannot listen on its address. */
class PortTaken extends Error {
  override name = 'PortTaken';
}

/**
 * Opens the store paths of the settings, and removes unused ones from the index that are not in the settings any more. A known
 * store path that cannot be opened stays unavailable. Throws if a new one cannot be opened, if one belongs to another node or
 * number (WrongStorePath), or if one with files is not in the settings any more.
 */
function openStorePaths(settings: Settings, index: Index, log: Logger): StorePath[] {
  for (const { number, identity, root } of index.storePaths.all()) {
    if (number < settings.storePaths.length) continue;
    const why = index.storePaths.isUsed(number) ? 'it holds files' : whatIsOn(root, identity);
    if (why !== undefined) {
      throw new Error(`store path ${number} (${root}) is not in storePaths any more, but ${why}; write it there again`);
    }
    index.storePaths.forget(number);
    log.info({ storePath: root }, 'a store path that held nothing is taken out of use');
  }
  return settings.storePaths.map((root, number) => {
    const path = new StorePath(number, root, settings.reserve);
    if (settings.readOnly) {
      path.openReadOnly();
      return path;
    }
    const known = index.storePaths.find(number);
    try {
      index.storePaths.remember(number, path.open(known?.identity, known?.root, lockStorePath), root);
    } catch (error) {
      if (known === undefined || error instanceof WrongStorePath) throw error;
      const lastStorePath = known.root === root ? {} : { lastStorePath: known.root };
      log.error(
        { err: error, storePath: root, ...lastStorePath },
        'a store path is out of use until a restart finds it well',
      );
    }
    return path;
  });
}

async function recoverStore(settings: Settings, paths: StorePath[], index: Index, log: Logger): Promise<void> {
  const report = await recover(paths, index, settings.group, settings.serverId, groupIds(settings));
  const { temporaries, indexed, quarantined, forgotten, deleted, missing, appended, reconciled } = report;
  const found = temporaries + indexed + quarantined.length + forgotten.length + deleted + missing + appended;
  if (reconciled.length > 0) {
    const roots = reconciled.map((number) => paths[number]?.root).join(', ');
    log.error(
      `${roots} and the index did not match: one of them was put back to an older copy. They have been reconciled.`,
    );
  }
  if (found > 0) log.warn(report, 'the last stop was not a clean one; put right what it left behind');
}

interface RunningDaemon {
  /** Rejects new uploads, and waits for those in progress and their copies. */
  drain(): Promise<void>;
  stop(): Promise<void>;
  reload: Reload;
  keyMade: boolean;
  /** Human-readable reason why the node is not ready after the start; undefined if it is. */
  notReady: string | undefined;
}

/**
 * Reads the settings, opens and recovers the store, then starts the server, the cluster and replication. Throws if the start fails.
 * @param configuration path of the settings file; undefined if FIDFS_CONFIG names it, or if there is none
 */
async function run(configuration: string | undefined, log: Logger): Promise<RunningDaemon> {
  const settings = loadSettings(configuration);
  const reload = { configuration, read: { ...settings } };
  makeDataDirectory(settings);
  // A node must be able to start on a full disk.
  Ballast.ofRecords(settings.data).makeRoom(START_BYTES);
  const unlock = lockDataDirectory(settings.data);
  const { key, made } = readOrMakeKey(settings);
  if (settings.sync === 'batch' && !canSyncFileSystems) {
    log.warn('this kernel cannot report errors of syncfs (Linux 5.8 can); using "sync": "file"');
    settings.sync = 'file';
  }
  const warn = (message: string, error: unknown) => log.error({ err: error }, message);
  const index = new Index(join(settings.data, 'index.db'), warn);
  index.replicationLog.enabled = groupPeers(settings).length > 0;
  // Without peers nothing is logged, and without syncs a power cut may have lost entries that peers have followed.
  index.replicationLog.beginEpoch({ continues: index.replicationLog.enabled && settings.sync !== 'off' });
  const unsent = index.outbox.begin(index.replicationLog.epoch, areEventsOn(settings));
  if (unsent > 0) log.warn({ unsent }, 'events are off; those that were not sent yet are dropped');
  const paths = openStorePaths(settings, index, log);
  restrictAccess(settings.readOnly ? { ...settings, storePaths: [] } : settings, warn);
  await recoverStore(settings, paths, index, log);
  const node = createNode(settings, reload, key, paths, index, log, warn);
  node.events = await createEvents({ settings, outbox: index.outbox, alarms: node.alarms, log });
  const { store, cluster, replication, alarms, requests, keys } = node;
  await store.writer.settle();
  if (index.replicationLog.enabled) await replication.takeDeletions();
  const observer = new Observer(createMetrics(node), log);
  const server = createServer(node, observer, log);
  const fastdfs = createFastdfs(node, observer, log);
  await server.listen().catch((error: unknown) => {
    const address = formatAddress(settings.daemonListen);
    throw new PortTaken(
      `cannot listen on ${address}: ${(error as Error).message}; end what listens there, or write another address in "daemonListen" (FIDFS_DAEMON_LISTEN)`,
      { cause: error },
    );
  });
  await fastdfs.listen().catch(async (error: unknown) => {
    await server.close();
    throw new PortTaken((error as Error).message, { cause: error });
  });
  cluster.start();
  replication.start();
  node.events?.start();
  const endWatch = watchPromises(node);
  const drain = async () => {
    const drained = server.drain();
    fastdfs.drain();
    void node.pictures.stop();
    await drained;
    // Followers have to read the log until here, because uploads wait for their acknowledgements.
    replication.source.stop();
  };
  const stop = async () => {
    await drain();
    await Promise.all([server.close(), fastdfs.close()]);
    endWatch();
    requests.stop();
    keys.stop();
    await node.events?.stop();
    await replication.stop();
    await cluster.stop();
    alarms.stop();
    await store.close();
    await index.close();
    unlock();
  };
  return { drain, stop, reload: node.reload, keyMade: made, notReady: notReady(node) };
}

/** Constructs the modules of a node. The store paths and the index must be open. */
function createNode(
  settings: Settings,
  read: Pick<ReloadParts, 'configuration' | 'read'>,
  key: string,
  paths: StorePath[],
  index: Index,
  log: Logger,
  warn: Warn,
): Node {
  const alarms = new Alarms(log, settings);
  const ids = new Set(groupIds(settings));
  const keys = new KeyRing(key, settings.data, (reason) => {
    if (reason === undefined) alarms.clear('keys', 'keys.json');
    else alarms.raise('keys', 'keys.json', `the keys that it had before stay in use: ${reason}`);
  });
  const cluster = new Cluster(
    settings,
    nginxDirectory(settings),
    {
      added: (peer) => {
        log.info({ peer: peer.id }, `node ${peer.id} is a member now`);
        if (peer.settings.group === settings.group) replication.add(peer);
      },
      moved: (peer) => {
        log.info({ peer: peer.id, url: peer.settings.url }, `node ${peer.id} has another address`);
        replication.move(peer);
      },
      removed: (peer) => {
        log.info({ peer: peer.id }, `node ${peer.id} is not a member any more`);
        alarms.clear('peer', `node ${peer.id}`);
        replication.remove(peer);
      },
      changed: ({ id, state, reason }) => {
        const context = { peer: id, state };
        if (state === 'up') log.info(context, `node ${id} is up`);
        else log.warn(context, reason);
        if (state === 'down') replication.schedule.peerIsDown();
        if (state === 'wrong') alarms.raise('peer', `node ${id}`, reason);
        else alarms.clear('peer', `node ${id}`);
      },
    },
    warn,
  );
  const acknowledgements = new Acknowledgements(
    index.replicationLog,
    (id) => isGone(cluster.peer(id)),
    (id, after) => replication.schedule.recover(id, after),
  );
  const copyPolicy = new CopyPolicy(settings, cluster, acknowledgements);
  const mayTake = (storePath: number) => copyPolicy.canCopy(storePath);
  const refusesOthers = () => {
    const earlier = cluster.group.find(({ isUp, hello }) => isUp && (hello?.records ?? 1) < RECORDS);
    return earlier && `node ${earlier.id} runs an earlier version, which cannot take slaves and metadata`;
  };
  const store = new Store(settings, paths, index, warn, {
    isReplicated: () => settings.copies > 1,
    mayTake,
    refusesOthers,
    ids,
  });
  const info = (progress: object, message: string) => log.info(progress, message);
  const parts = { settings, keys, store, index, cluster, acknowledgements, alarms };
  const replication: Replication = new Replication({ ...parts, ids, info, warn });
  const toNginx = () => reloadNginx(settings);
  const reload = new Reload({ ...read, settings, key, ids, cluster, replication, toNginx, info });
  const underWay = new RequestsUnderWay(() => acknowledgements.settleAll());
  const pictures = new Pictures(settings, (message) => log.warn(message));
  return {
    ...parts,
    copyPolicy,
    replication,
    requests: new Requests(settings),
    pictures,
    underWay,
    reload,
    events: undefined,
  };
}

async function main(): Promise<void> {
  const { log, flush } = await createLog();
  const die = (message: string, error: unknown): never => {
    log.fatal({ err: error }, message);
    flush();
    process.exit(1);
  };
  const fail = (error: unknown) => {
    // A restart would find the same damage: keeps running for downloads and the status, which says what to do.
    if (error instanceof StoreError && error.code === 'damaged') log.error({ err: error }, 'the index is damaged');
    else die('the daemon failed', error);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  try {
    const configuration = process.argv[2];
    const { drain, stop, reload, keyMade, notReady } = await run(configuration === '' ? undefined : configuration, log);
    let stopping = false;
    const stopOnce = () => {
      if (stopping) return;
      stopping = true;
      stop().then(
        () => {
          flush();
          process.exit(0);
        },
        (error: unknown) => die('the daemon could not stop cleanly', error),
      );
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stopOnce);
    // The supervisor was killed, so the daemon enforces the time limit itself.
    process.on('disconnect', () => {
      stopOnce();
      const late = () => die('the daemon could not stop in time', new Error('its supervisor was killed'));
      setTimeout(late, ORPHAN_MILLISECONDS).unref();
    });
    process.on('message', ({ type }: SupervisorMessage) => {
      if (type === 'drain') void drain().then(() => tell({ type: 'drained' }));
      if (type === 'reload')
        reload.run().catch((error: unknown) => {
          if (error instanceof ReloadRefused) log.error(`the settings are not taken: ${error.message}`);
          else log.error({ err: error }, 'the settings could not be read again');
        });
    });
    tell({ type: 'ready', keyMade, notReady });
  } catch (error) {
    flush();
    tell({ type: 'failed', message: (error as Error).message, portTaken: error instanceof PortTaken });
    if (!process.connected) process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
    process.disconnect?.();
  }
}

await main();
