/** Mutations of pictures; see mutations.mjs. */
const make = 'daemon/pictures/make.ts';
const makeTest = ['pictures/make'];
const processes = 'daemon/pictures/processes.ts';
const processesTest = ['pictures/processes'];
const nginx = 'nginx/pictures.ts';
const nodeTest = ['pictures/pictures'];
const clusterTest = ['pictures/cluster'];

export const pictureMutations = [
  {
    name: 'pictures are upright',
    file: make,
    from: 'isAnimated ? opened : opened.autoOrient()',
    to: 'opened',
    tests: makeTest,
  },
  {
    name: 'animations stay animated',
    file: make,
    from: '{ ...options, animated: isAnimated }',
    to: 'options',
    tests: makeTest,
  },
  {
    name: 'the pixels of an original are limited',
    file: make,
    from: 'limitInputPixels: pixels',
    to: 'limitInputPixels: false',
    tests: makeTest,
  },
  {
    name: 'cut-off originals are refused',
    file: make,
    from: "failOn: 'truncated'",
    to: "failOn: 'none'",
    tests: makeTest,
  },
  {
    name: 'no loaders but those that are needed',
    file: make,
    from: "  sharp.block({ operation: ['VipsForeignLoad'] });\n",
    to: '',
    tests: makeTest,
  },
  {
    name: 'pictures are not enlarged',
    file: make,
    from: 'withoutEnlargement: true',
    to: 'withoutEnlargement: false',
    tests: makeTest,
  },
  {
    name: 'a process that dies fails its picture',
    file: processes,
    from: "this.finish((task) => task.reject(new NoPicture('died', ",
    to: "((_: unknown) => {})((task: Task) => task.reject(new NoPicture('died', ",
    tests: processesTest,
  },
  {
    name: 'a picture that takes too long is given up',
    file: processes,
    from: 's`;\n      this.kill();',
    to: 's`;',
    tests: processesTest,
  },
  {
    name: 'the number of waiting pictures is limited',
    file: processes,
    from: 'this.queue.length >= QUEUE',
    to: 'this.queue.length < 0',
    tests: processesTest,
  },
  {
    name: 'pictures that have waited too long are refused',
    file: processes,
    from: 'task.since > this.longestWait',
    to: 'task.since > 1e9',
    tests: processesTest,
  },
  {
    name: 'processes have a low priority',
    file: processes,
    from: 'exec nice -n 10 "$0"',
    to: 'exec "$0"',
    tests: processesTest,
  },
  {
    name: 'processes have no secrets',
    file: processes,
    from: "env: { MALLOC_ARENA_MAX: '2', UV_THREADPOOL_SIZE: '2' },",
    to: 'env: process.env,',
    tests: processesTest,
  },
  {
    name: 'the memory of processes is limited',
    file: processes,
    from: 'const limited = `ulimit -d $',
    to: 'const limited = `: $',
    tests: processesTest,
  },
  {
    name: 'a second death at the same picture is a refusal',
    file: 'daemon/pictures/pictures.ts',
    from: 'this.countDeath(key) >= DEATHS',
    to: 'this.countDeath(key) > 2 * DEATHS',
    tests: processesTest,
  },
  {
    name: 'a thousand first requests make one picture',
    file: nginx,
    from: 'proxy_cache_lock on;',
    to: 'proxy_cache_lock off;',
    tests: nodeTest,
  },
  {
    name: 'refusals are kept',
    file: nginx,
    from: 'proxy_cache_valid 415 10m;',
    to: '',
    tests: nodeTest,
  },
  {
    name: 'the pictures of a deleted file are gone',
    file: nginx,
    from: '  if (!-f $request_filename) { return 404; }\n',
    to: '',
    tests: nodeTest,
  },
  {
    name: 'of a damaged file no picture is kept',
    file: 'daemon/pictures/picture-worker.ts',
    from: 'isChecked && (await isDamaged(original))',
    to: 'false',
    tests: nodeTest,
  },
  {
    name: 'a changed preset makes new pictures',
    file: nginx,
    from: 'proxy_cache_key "$fidfs_preset_digest ',
    to: 'proxy_cache_key "$fidfs_preset ',
    tests: nodeTest,
  },
  {
    name: 'pictures are kept by the formats that are accepted',
    file: nginx,
    from: ' $fidfs_accepts_avif $fidfs_accepts_webp $fidfs_original";',
    to: ' $fidfs_original";',
    tests: nodeTest,
  },
  {
    name: 'an ID ends where the address does',
    file: nginx,
    from: '(pattern)}\\\\z"',
    to: '(pattern)}$"',
    tests: nodeTest,
  },
  {
    name: 'pictures need the token of their file',
    file: nginx,
    from: 'tokenGuard(settings)}',
    to: '""}',
    tests: nodeTest,
  },
  {
    name: 'that a file is no picture is passed on',
    file: nginx,
    from: 'passed: [415, 501]',
    to: 'passed: [501]',
    tests: clusterTest,
  },
  {
    name: 'the format that a client accepts is passed on',
    file: nginx,
    from: "headers: ['Accept']",
    to: 'headers: []',
    tests: clusterTest,
  },
];
