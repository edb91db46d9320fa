/** Mutations of what concerns the stores of FastDFS; see mutations.mjs. */
const trunk = 'daemon/store/trunk.ts';
const packedTest = ['downloads/packed'];

export const fastdfsMutations = [
  {
    name: 'a symbolic link of FastDFS is found as a file',
    file: 'daemon/store/lookup.ts',
    from: 'path.sizeThrough(id.directory, id.name) !== undefined',
    to: 'path.sizeOf(id.directory, id.name) !== undefined',
    tests: ['adopt/links'],
  },
  {
    name: 'slaves that are symbolic links are deleted with their master',
    file: 'daemon/store/deletion.ts',
    from: 'path ? filesAndLinksIn(path, directory, new Set()).filter(isSlave) : []',
    to: 'path ? filesAndLinksIn(path, directory, new Set()).filter((file) => !file.isLink && isSlave(file)) : []',
    tests: ['adopt/links'],
  },
  {
    name: 'a directory is not sent as a file',
    file: 'daemon/fastdfs/open-file.ts',
    from: 'if (!stat.isFile()) {',
    to: 'if (stat.isFIFO()) {',
    tests: ['adopt/links'],
  },
  {
    name: 'a reply whose first part cannot be read is a status',
    file: 'daemon/fastdfs/connection.ts',
    from: 'if (!header || error instanceof ClientGone) throw error;',
    to: 'throw error;',
    tests: ['fastdfs/deleted'],
  },
  {
    name: 'a file that is being deleted gets no slave',
    file: 'daemon/store/slaves.ts',
    from: ' || this.parts.isBeingDeleted(master)',
    to: '',
    tests: ['durable-write/slaves'],
  },
  {
    name: 'one node stores the slaves of a file',
    file: 'daemon/operations/slaves.ts',
    from: 'return peer?.isUp && (await hasFile(peer, text)) ? peer : undefined;',
    to: 'return peer?.isUp && (await hasFile(peer, "")) ? peer : undefined;',
    tests: ['cluster/slaves'],
  },
  {
    name: 'a node that lags takes no slaves',
    file: 'daemon/operations/slaves.ts',
    from: 'assertUploadsAreTaken(node);\n  assertCaughtUp(node);',
    to: 'assertUploadsAreTaken(node);',
    tests: ['fastdfs/restored'],
  },
  {
    name: 'a node that lags merges no metadata',
    file: 'daemon/operations/metadata.ts',
    from: 'if (isMerge) assertCaughtUp(node);',
    to: '',
    tests: ['fastdfs/restored'],
  },
  {
    name: 'a slot counts only if its whole header is that of the ID',
    file: trunk,
    from: 'if (header.equals(headerOf(id, FILE_SLOT))) return { offset, size };',
    to: 'if (header[0] === FILE_SLOT) return { offset, size };',
    tests: packedTest,
  },
  {
    name: 'links of packed files are not followed in circles',
    file: trunk,
    from: 'return this.find(id, links);',
    to: 'return this.find(id);',
    tests: packedTest,
  },
  {
    name: 'a deleted packed file is hidden',
    file: 'daemon/http/packed.ts',
    from: 'id && !store.isDeleted(id)',
    to: 'id',
    tests: packedTest,
  },
  {
    name: 'the statistics select storage servers by their status',
    file: 'daemon/fastdfs/statistics.ts',
    from: '(filter & StorageFilter.status) === 0 ||',
    to: 'filter >= 0 ||',
    tests: ['fastdfs/statistics'],
  },
  {
    name: 'a file whose name no file can have does not exist',
    file: 'daemon/fastdfs/names.ts',
    from: 'LIKE_NAME.test(name)',
    to: 'false',
    tests: ['fastdfs/names'],
  },
];
