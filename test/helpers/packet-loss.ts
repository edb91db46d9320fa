import { spawnSync } from 'node:child_process';

/** Why packets cannot be dropped here; false when they can. */
export function cannotDropPackets(): string | false {
  const loss = new PacketLoss();
  try {
    loss.begin([9], 1);
    return false;
  } catch (error) {
    return `needs nft and the right to use it: ${(error as Error).message}`;
  } finally {
    loss.end();
  }
}

/** Loss of packets to and from some ports of this machine, by a table of nftables of its own. */
export class PacketLoss {
  private readonly table = `fidfs_test_${process.pid}`;

  /** Drops so many of 100 packets from now on, in both directions. Throws when that cannot be done. */
  begin(ports: readonly number[], percent: number): void {
    const rule = (direction: string) =>
      `tcp ${direction} { ${ports.join(', ')} } numgen random mod 100 < ${percent} drop`;
    nft(`table inet ${this.table} {
      chain output { type filter hook output priority 0; ${rule('dport')}; ${rule('sport')}; }
    }`);
  }

  end(): void {
    spawnSync('nft', ['delete', 'table', 'inet', this.table]);
  }
}

function nft(rules: string): void {
  const { status, stderr, error } = spawnSync('nft', ['-f', '-'], { input: rules, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(stderr.trim());
}
