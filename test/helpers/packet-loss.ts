import { spawnSync } from 'node:child_process';

/** Reason to skip tests of packet loss; false if packets can be dropped. */
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

/** Drops packets to and from ports of this machine, by an nftables table of its own. */
export class PacketLoss {
  private readonly table = `fidfs_test_${process.pid}`;

  /** Starts dropping `percent` of the packets, in both directions. Throws if that is not possible. */
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
