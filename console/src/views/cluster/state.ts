import { signal } from '@preact/signals';
import { asFailure, type Failure } from '../../http/failure';
import { requestJson } from '../../http/request';
import { key } from '../../key';

export type NodeState = 'up' | 'down' | 'wrong' | 'unknown';

/** One node in the response of `/console/api/cluster`. Figures are null for a node that has never answered. */
export interface NodeReport {
  id: number;
  group: string;
  state: NodeState;
  reason: string | null;
  since: string | null;
  version: string | null;
  trouble: string | null;
  files: number | null;
  bytes: number | null;
  saved: number | null;
  capacity: number | null;
  available: number | null;
  behind: { peer: number; entries: number; seconds: number }[];
  missing: number | null;
  setAside: number | null;
  /** Files of FastDFS without a record. */
  foreign: number | null;
  /** Seconds since 1970. */
  oldestScrub: number | null;
  alarms: string[];
  uploads: number | null;
  uploadedBytes: number | null;
  downloads: number | null;
}

export interface ClusterReport {
  self: number;
  time: string;
  nodes: NodeReport[];
}

/** Operations and bytes per second of a node. */
export interface Rates {
  uploads: number;
  uploadedBytes: number;
  downloads: number;
}

const INTERVAL_MILLISECONDS = 2000;

export const report = signal<ClusterReport | undefined>(undefined);
/** Rates by server id, of nodes that are up only. */
export const rates = signal<ReadonlyMap<number, Rates>>(new Map());
/** The failure of the last request for the report; undefined after a success. */
export const trouble = signal<Failure | undefined>(undefined);

/** Returns the nodes by group. */
export function groupsOf({ nodes }: ClusterReport): Map<string, NodeReport[]> {
  const groups = new Map<string, NodeReport[]>();
  for (const node of nodes) groups.set(node.group, [...(groups.get(node.group) ?? []), node]);
  return groups;
}

/** Computes rates from two reports; a counter that decreased belongs to a restarted node. */
export function ratesBetween(before: ClusterReport, after: ClusterReport): Map<number, Rates> {
  const seconds = (Date.parse(after.time) - Date.parse(before.time)) / 1000;
  const found = new Map<number, Rates>();
  for (const node of after.nodes) {
    if (node.state !== 'up') continue;
    const old = before.nodes.find(({ id }) => id === node.id);
    const perSecond = (name: keyof Rates) =>
      seconds > 0 ? Math.max(0, (node[name] ?? 0) - (old?.[name] ?? node[name] ?? 0)) / seconds : 0;
    found.set(node.id, {
      uploads: perSecond('uploads'),
      uploadedBytes: perSecond('uploadedBytes'),
      downloads: perSecond('downloads'),
    });
  }
  return found;
}

async function poll(abort: AbortSignal): Promise<void> {
  try {
    const next = await requestJson<ClusterReport>('console/api/cluster', { signal: abort });
    if (report.peek()) rates.value = ratesBetween(report.peek() as ClusterReport, next);
    report.value = next;
    trouble.value = undefined;
  } catch (error) {
    if (abort.aborted) return;
    trouble.value = asFailure(error);
    rates.value = new Map();
  }
}

/** Requests the report every two seconds while the page is visible and there is a key. Returns a function that stops it. */
export function follow(): () => void {
  const end = new AbortController();
  let timer: number | undefined;
  let isRunning = false;
  const run = async () => {
    window.clearTimeout(timer);
    if (isRunning || document.hidden || end.signal.aborted) return;
    isRunning = true;
    if (key.peek() !== undefined) await poll(end.signal);
    isRunning = false;
    if (!end.signal.aborted) timer = window.setTimeout(() => void run(), INTERVAL_MILLISECONDS);
  };
  document.addEventListener('visibilitychange', () => void run(), { signal: end.signal });
  const unsubscribe = key.subscribe(() => void run());
  return () => {
    unsubscribe();
    end.abort();
    window.clearTimeout(timer);
  };
}
