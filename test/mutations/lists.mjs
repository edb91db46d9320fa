/** Mutations of lists, and of requests for many files; see mutations.mjs. */
const listing = 'daemon/index/listing.ts';
const lists = 'daemon/operations/lists.ts';
const pages = ['lists/listing'];
const files = ['lists/files'];
const many = 'daemon/operations/many.ts';
const batches = ['lists/many'];
const audit = 'daemon/cli/audit/audit.ts';
const deletions = 'daemon/cli/audit/deletions.ts';
const audits = ['lists/audit'];
const exporting = 'daemon/cli/archive/export.ts';
const exports = ['lists/export'];

export const listMutations = [
  {
    name: 'a list has the second of its beginning',
    file: listing,
    from: 'from === undefined ? source : startOf(source, from)',
    to: 'from === undefined ? source : startOf(source, from + 1)',
    tests: pages,
  },
  {
    name: 'a list does not have the second of its end',
    file: listing,
    from: 'AFTER]) : startOf(source, to)',
    to: 'AFTER]) : startOf(source, to + 1)',
    tests: pages,
  },
  {
    name: 'a page begins after the second of the last file for the sources before its own',
    file: listing,
    from: 'sooner > 0 ? startOf(source, second) :',
    to: 'sooner > 0 ? startOf(source, second + 1) :',
    tests: pages,
  },
  {
    name: 'a page goes on where the chunk of a source ended',
    file: listing,
    from: "this.order === 'oldest' ? [last.key, upper] : [lower, last.key]",
    to: '[lower, upper]',
    tests: pages,
  },
  {
    name: 'a list has the files that are missing here',
    file: listing,
    from: "['file', 'missing'].map",
    to: "['file'].map",
    tests: pages,
  },
  {
    name: 'a list has no metadata',
    file: lists,
    from: 'isMetadata(record.name) || ',
    to: '',
    tests: pages,
  },
  {
    name: 'a page looks at a bounded number of files',
    file: lists,
    from: '|| looked === LOOKED_AT',
    to: '',
    tests: pages,
  },
  {
    name: 'the pages of groups are merged as far as all have looked',
    file: lists,
    from: 'end === undefined || compare(position, end) <= 0',
    to: 'end === undefined || end !== undefined',
    tests: pages,
  },
  {
    name: 'the next page begins after the last file of a merged page',
    file: lists,
    from: '(isCut ? first.at(-1)?.position : end) ?? null',
    to: 'end ?? null',
    tests: pages,
  },
  {
    name: 'a group that cannot be asked is no empty one',
    file: lists,
    from: 'failure ??= error;',
    to: 'return { files: [], end: null };',
    tests: files,
  },
  {
    name: 'a list is of the groups of its key',
    file: 'daemon/http/lists.ts',
    from: 'groupsFor(accessOf(request), group, cluster.groups) ?? cluster.groups',
    to: 'group === undefined ? cluster.groups : [group]',
    tests: files,
  },
  {
    name: 'many files are those of the groups of the key',
    file: many,
    from: 'checks.assertGroup(id.group);',
    to: '',
    tests: batches,
  },
  {
    name: 'each of many IDs has its result in its place',
    file: many,
    from: 'results[place] = found[number] as Result',
    to: 'results[asked[asked.length - 1 - number]?.place ?? place] = found[number] as Result',
    tests: batches,
  },
  {
    name: 'one of many deletions that few nodes know of is only accepted',
    file: many,
    from: "copies >= wanted ? { id, status: 'deleted' }",
    to: "copies >= 0 ? { id, status: 'deleted' }",
    tests: batches,
  },
  {
    name: 'a file that a node of the group may have is not said to be none',
    file: many,
    from: '(isComplete ? notFound(result.id) : unavailable(result.id, NOT_ALL))',
    to: 'notFound(result.id)',
    tests: batches,
  },
  {
    name: 'the files of a group that cannot be asked are unavailable',
    file: many,
    from: 'return asked.map(({ text }) => unavailable(text,',
    to: 'return asked.map(({ text }) => notFound(text) ?? unavailable(text,',
    tests: batches,
  },
  {
    name: 'slaves of many files are kept if that is wanted',
    file: many,
    from: 'deleteHereOrByPeer({ id, text, conditions: {}, keepsSlaves }, node)',
    to: 'deleteHereOrByPeer({ id, text, conditions: {}, keepsSlaves: false }, node)',
    tests: batches,
  },
  {
    name: 'an audit does not judge files that are newer than the list',
    file: audit,
    from: 'before?.mtimeMs ?? started',
    to: 'started',
    tests: audits,
  },
  {
    name: 'an audit does not judge files that are younger than is wanted',
    file: audit,
    from: '/ 1000) * 1000 - age',
    to: '/ 1000) * 1000 - 0 * age',
    tests: audits,
  },
  {
    name: 'an audit judges the groups that the list names',
    file: audit,
    from: 'allGroups || named.namesGroup(name)',
    to: 'allGroups || named.namesGroup(name) || true',
    tests: audits,
  },
  {
    name: 'an audit takes slaves of named files for named',
    file: audit,
    from: '(!slaves && named.namesFamilyOf(id))',
    to: '(slaves && named.namesFamilyOf(id))',
    tests: audits,
  },
  {
    name: 'an audit asks for the files that are not in the list of the store',
    file: audit,
    from: "results.filter(({ status }) => status !== 'stored')",
    to: 'results',
    tests: audits,
  },
  {
    name: 'an audit deletes nothing by a list whose last line may be cut off',
    file: deletions,
    from: 'if (!isEnded)',
    to: 'if (!isEnded && bad > 0)',
    tests: audits,
  },
  {
    name: 'an audit deletes nothing by a list with lines that it does not understand',
    file: deletions,
    from: 'if (bad > 0)',
    to: 'if (bad > 1)',
    tests: audits,
  },
  {
    name: 'an audit deletes nothing by a list that names nothing that the store has',
    file: deletions,
    from: 'if (unnamed === files)',
    to: 'if (unnamed > files)',
    tests: audits,
  },
  {
    name: 'an audit deletes nothing by a list that names less than half',
    file: deletions,
    from: 'unnamed > files * LARGEST_SHARE',
    to: 'unnamed > files',
    tests: audits,
  },
  {
    name: 'an audit deletes after a yes only',
    file: deletions,
    from: "toLowerCase() === 'yes'",
    to: "toLowerCase() !== ''",
    tests: audits,
  },
  {
    name: 'an export fetches again what is no longer there',
    file: exporting,
    from: 'stats?.isFile() === true && stats.size === size',
    to: 'true',
    tests: exports,
  },
  {
    name: 'an export keeps no bytes that are not those of the list',
    file: exporting,
    from: 'sha256 === null || found.sha256 === sha256',
    to: 'sha256 === null || found.sha256 !== null',
    tests: exports,
  },
  {
    name: 'an export writes through no symbolic link',
    file: exporting,
    from: '!lstatSync(path).isDirectory()',
    to: 'path.length === 0',
    tests: exports,
  },
  {
    name: 'a list that grows has whole lines after a crash',
    file: 'daemon/cli/archive/csv.ts',
    from: 'ftruncateSync(this.descriptor, whole);',
    to: '',
    tests: exports,
  },
];
