/** The response of `/info/<id>`: the decoded ID. */
export interface Information {
  id: string;
  group: string;
  storePath: number;
  kind: 'normal' | 'appender' | 'slave' | 'trunk';
  source: { serverId: number } | { ip: string };
  created: string;
  size: number | null;
  crc32: string | null;
}
