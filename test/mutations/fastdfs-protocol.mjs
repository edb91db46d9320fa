/** Mutations of FastDFS's wire protocol; see mutations.mjs. */
const connection = 'daemon/fastdfs/connection.ts';
const codec = 'daemon/fastdfs/codec.ts';
const records = 'daemon/fastdfs/records.ts';
const receiving = 'daemon/fastdfs/receiving.ts';
const storage = 'daemon/fastdfs/storage.ts';
const tracker = 'daemon/fastdfs/tracker.ts';
const server = 'daemon/fastdfs/server.ts';
const recorded = ['fastdfs/recorded'];
const forward = 'daemon/fastdfs/forward.ts';
const forwarding = ['fastdfs/forwarding'];
const hostile = ['fastdfs/hostile'];
const connections = ['fastdfs/connections'];
const cluster = ['fastdfs/cluster'];
const stopping = ['fastdfs/stopping'];
const takers = ['fastdfs/takers'];

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
  {
    name: 'a length that cannot be true ends the connection',
    file: connection,
    from: 'if (header.length === undefined) {',
    to: 'header.length ??= 15;\n    if (header.length < 0) {',
    tests: hostile,
  },
  {
    name: 'a body shorter than its fields is refused',
    file: connection,
    from: "if (count > this.left) throw invalid('the body is shorter than its fields');",
    to: '',
    tests: hostile,
  },
  {
    name: 'an extension must not make the name of a metadata file',
    file: 'daemon/fastdfs/names.ts',
    from: " || extension.endsWith('-m')",
    to: '',
    tests: hostile,
  },
  {
    name: 'an upload over maxFileSize is refused',
    file: receiving,
    from: 'if (size > maxFileSize) throw',
    to: 'if (size > 1e15) throw',
    tests: hostile,
  },
  {
    name: 'a temporary file of an upload whose client went away is removed',
    file: receiving,
    from: 'await file.discard();',
    to: '',
    tests: hostile,
  },
  {
    name: 'connections from outside of fastdfsFrom are closed',
    file: server,
    from: '!this.isPermitted(client)',
    to: 'client === undefined',
    tests: connections,
  },
  {
    name: 'fastdfsFrom does not refuse the other nodes',
    file: server,
    from: ' || this.addresses.isPeer(client)',
    to: '',
    tests: connections,
  },
  {
    name: 'metadata is changed by one node while it is up',
    file: 'daemon/operations/metadata.ts',
    from: 'return peer?.isUp ? peer : undefined;',
    to: 'return peer && undefined;',
    tests: ['fastdfs/metadata'],
  },
  {
    name: 'metadata that another node changed can be read when the change is answered',
    file: 'daemon/operations/metadata.ts',
    from: 'if (set) await arrival(id, set.version, node);',
    to: 'void arrival;',
    tests: ['fastdfs/metadata'],
  },
  {
    name: 'metadata that is not UTF-8 is not changed silently',
    file: 'daemon/http/metadata-routes.ts',
    from: 'fatal: true',
    to: 'fatal: false',
    tests: ['fastdfs/metadata'],
  },
  {
    name: 'metadata with a name twice is not changed silently',
    file: 'daemon/http/metadata-routes.ts',
    from: 'if (entries.has(text)) throw',
    to: 'if (entries.size < 0) throw',
    tests: ['fastdfs/metadata'],
  },
  {
    name: 'the number of connections is limited',
    file: server,
    from: 'const MOST_CONNECTIONS = 4096;',
    to: 'const MOST_CONNECTIONS = 1e9;',
    tests: connections,
  },
  {
    name: 'a connection in use is not closed for a new one',
    file: server,
    from: 'if (this.connections.delete(connection)) this.connections.add(connection);',
    to: '',
    tests: connections,
  },
  {
    name: 'a node that is down is not named for uploads',
    file: tracker,
    from: '({ isUp, hello }) => isUp && hello?.trouble === null',
    to: '({ hello }) => hello?.trouble === null',
    tests: takers,
  },
  {
    name: 'a node that can take no uploads is not named for them',
    file: tracker,
    from: '({ isUp, hello }) => isUp && hello?.trouble === null',
    to: '({ isUp }) => isUp',
    tests: takers,
  },
  {
    name: 'the tracker names its own node first',
    file: tracker,
    from: 'return [own, ...peers];',
    to: 'return [...peers, own];',
    tests: cluster,
  },
  {
    name: 'a file whose nodes are down may exist',
    file: tracker,
    from: 'Status.busy, `no node of the group',
    to: 'Status.notFound, `no node of the group',
    tests: cluster,
  },
  {
    name: 'an upload waits for its copies',
    file: storage,
    from: 'await waitForCopies(files, this.node);',
    to: '',
    tests: cluster,
  },
  {
    name: 'a stop waits for downloads by the wire',
    file: server,
    from: 'isSentLater = true;',
    to: 'isSentLater = false;',
    tests: stopping,
  },
  {
    name: 'a stop waits for uploads by the wire',
    file: server,
    from: 'const answered = underWay.begin();',
    to: 'const answered = () => void underWay;',
    tests: stopping,
  },
  {
    name: 'a stop does not wait for data that does not come',
    file: server,
    from: 'for (const connection of this.connections) connection.destroy();\n    });',
    to: '});',
    tests: stopping,
  },
  {
    name: 'a full disk has a status of its own',
    file: 'daemon/fastdfs/errors.ts',
    from: '  full: Status.full,\n  unavailable: Status.busy,\n  damaged',
    to: '  unavailable: Status.busy,\n  damaged',
    tests: stopping,
  },
  {
    name: 'clients that send or take next to nothing are dropped',
    file: server,
    from: 'if (connection.isTooSlow(LEAST_BYTES)) connection.destroy();',
    to: 'if (connection.isTooSlow(0) && false) connection.destroy();',
    tests: ['fastdfs/slow'],
  },
  {
    name: 'a field that is not whole is refused',
    file: codec,
    from: 'if (!(length >= 0 && end <= this.bytes.length))',
    to: 'if (length < 0)',
    tests: ['fastdfs/fuzz'],
  },
  {
    name: 'a reply of another node whose header is not whole is none',
    file: forward,
    from: 'if (!(await reader.fill(HEADER_LENGTH))) throw unanswered(failure);',
    to: 'await reader.fill(HEADER_LENGTH);',
    tests: forwarding,
  },
  {
    name: 'a client whose command was forwarded gets no status if the reply is not whole',
    file: connection,
    from: ' || error instanceof OutcomeUnknown) throw',
    to: ') throw',
    tests: forwarding,
  },
  {
    name: 'the reply to a forwarded command is awaited while the node is up',
    file: 'daemon/fastdfs/forward.ts',
    from: 'socket.setTimeout(0).setKeepAlive',
    to: 'socket.setKeepAlive',
    tests: forwarding,
  },
  {
    name: 'the reply to a forwarded command is not awaited from a node that stays down',
    file: 'daemon/fastdfs/forward.ts',
    from: "if (isLost) socket.destroy(new Error('it is down'));",
    to: 'void isLost;',
    tests: forwarding,
  },
  {
    name: 'a repeated renaming of an appender is answered with the same name',
    file: 'daemon/store/appenders.ts',
    from: 'this.remember(keyOf(id.name), stored);',
    to: 'void this.remember;',
    tests: forwarding,
  },
];
