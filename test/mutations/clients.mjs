/** Mutations of the client for JavaScript; see mutations.mjs. */
const tests = ['clients/js'];
const servers = 'clients/js/src/servers.ts';
const resumable = 'clients/js/src/resumable.ts';

export const clientMutations = [
  {
    name: 'the next server is used when one refuses for a time',
    file: servers,
    from: 'PASSING.has(status)',
    to: 'status > 999',
    tests,
  },
  {
    name: 'the server that answers remains in use',
    file: servers,
    from: 'const index = this.current;',
    to: 'const index = failed % count;',
    tests,
  },
  { name: 'a stream is not sent twice', file: servers, from: ' || !isRepeatable()', to: '', tests },
  { name: 'the rounds over all servers are bounded', file: servers, from: 'round > this.retries || ', to: '', tests },
  {
    name: 'a pause between rounds ends with the signal',
    file: servers,
    from: "signal?.addEventListener('abort', stop, { once: true });",
    to: '',
    tests,
  },
  {
    name: 'a resumable upload goes on at the next server',
    file: resumable,
    from: 'uploadUrl: this.name === undefined ? null :',
    to: 'uploadUrl: server !== transport.servers.first ? null :',
    tests,
  },
  {
    name: 'an expired resumable upload begins again',
    file: resumable,
    from: "error.problem === 'upload-lost'",
    to: 'false',
    tests,
  },
  {
    name: 'a refusal is not taken for a lost upload',
    file: resumable,
    from: 'status >= 400 && !isLost',
    to: 'status >= 999',
    tests,
  },
  {
    name: 'the request of an ID leaves no other address',
    file: 'clients/js/src/identifier.ts',
    from: 'throw new FidfsError(',
    to: 'if (id === undefined) throw new FidfsError(',
    tests,
  },
  {
    name: 'many IDs are asked for in several requests',
    file: 'clients/js/src/client.ts',
    from: 'batch.length === BATCH_IDS ||',
    to: '',
    tests,
  },
  {
    name: 'a server that does not answer is given up',
    file: 'clients/js/src/transport.ts',
    from: '...(timeout > 0 ? [AbortSignal.timeout(timeout)] : [])',
    to: '',
    tests,
  },
];
