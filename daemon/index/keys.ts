/** The smallest possible key of a server id and a second (since 1970). */
export function firstKey(serverId: number, second: number): Buffer {
  const key = Buffer.alloc(20);
  key.writeUInt32LE(serverId, 0);
  key.writeUInt32BE(Math.min(second, 0xffffffff), 4);
  return key;
}

/** The greatest possible key of a server id. */
export function lastKey(serverId: number): Buffer {
  const key = Buffer.alloc(20, 0xff);
  key.writeUInt32LE(serverId, 0);
  return key;
}
