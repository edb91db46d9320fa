/** Mutations of FastDFS's wire protocol; see mutations.mjs. */
const connection = 'daemon/fastdfs/connection.ts';
const codec = 'daemon/fastdfs/codec.ts';
const records = 'daemon/fastdfs/records.ts';
const storage = 'daemon/fastdfs/storage.ts';
const tracker = 'daemon/fastdfs/tracker.ts';
const recorded = ['fastdfs/recorded'];

export const fastdfsProtocolMutations = [
  {
    name: 'a connection goes on after a refused request',
    file: connection,
    from: 'const goesOn = left <= LONGEST_REST;',
    to: 'const goesOn = left === 0;',
    tests: recorded,
  },
  {
    name: 'the CRC32 of file information is sign-extended',
    file: storage,
    from: 'number64(crc | 0)',
    to: 'number64(crc >>> 0)',
    tests: recorded,
  },
  {
    name: 'a count past the end of a file is cut',
    file: storage,
    from: 'Math.min(count, left)',
    to: 'count',
    tests: recorded,
  },
  {
    name: 'a download at the end of a file is refused',
    file: storage,
    from: 'if (left <= 0) {',
    to: 'if (left < 0) {',
    tests: recorded,
  },
  {
    name: 'a store path that does not exist is refused',
    file: storage,
    from: 'storePath !== ANY_STORE_PATH && storePath >=',
    to: 'storePath < 0 && storePath >=',
    tests: recorded,
  },
  {
    name: 'a body longer than its fields is refused',
    file: codec,
    from: "if (this.offset !== this.bytes.length) throw invalid('the body is longer than its fields');",
    to: '',
    tests: recorded,
  },
  {
    name: 'a name without M00/ is one of store path 0',
    file: 'daemon/fastdfs/names.ts',
    from: "/^[0-9A-F]{2}\\//.test(name) ? 'M00/' : ''",
    to: "''",
    tests: recorded,
  },
  {
    name: 'addresses have the width of IPv6 where that is set',
    file: codec,
    from: "width === 'ipv6' ? { query: 45, record: 46 }",
    to: "width === 'ipv6' ? { query: 45, record: 45 }",
    tests: recorded,
  },
  {
    name: 'storage ids are listed from an index',
    file: records,
    from: 'lines.slice(start)',
    to: 'lines',
    tests: recorded,
  },
  {
    name: 'all nodes that take uploads are named where all are asked for',
    file: tracker,
    from: "which === 'one' ? servers.slice(0, 1) : servers",
    to: 'servers.slice(0, 1)',
    tests: recorded,
  },
];
