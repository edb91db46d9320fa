/** Mutations of the clients for JavaScript, Python and Java; see mutations.mjs. */
const tests = ['clients/js', 'clients/js-package'];
const servers = 'clients/js/src/servers.ts';
const resumable = 'clients/js/src/resumable.ts';
const python = 'clients/python/fidfs.py';
const pythonTests = ['clients/python'];
const java = 'clients/java/Fidfs.java';
const javaTests = ['clients/java'];

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
    from: 'if (status >= 400) throw',
    to: 'if (status >= 999) throw',
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
  {
    name: 'a resumable upload goes on with data of its size only',
    file: resumable,
    from: "answer.getHeader('Upload-Length') !== String(size)",
    to: 'false',
    tests,
  },
  {
    name: 'in Python, what was read of a stream is not sent again',
    file: python,
    from: 'if error is not None and isinstance(body, _Body) and not body.repeatable:',
    to: 'if False:',
    tests: pythonTests,
  },
  {
    name: 'in Python, no more bytes are sent than are announced',
    file: python,
    from: 'min(_BLOCK, left)',
    to: '_BLOCK',
    tests: pythonTests,
  },
  {
    name: 'in Python, what is no ID makes no address',
    file: python,
    from: 'if not _ID.fullmatch(identifier):',
    to: 'if False:',
    tests: pythonTests,
  },
  {
    name: 'in Python, a resumable upload goes on with a file of its size only',
    file: python,
    from: 'if answer.headers["Upload-Length"] != str(size):',
    to: 'if False:',
    tests: pythonTests,
  },
  {
    name: 'in Java, what was read of a stream is not sent again',
    file: java,
    from: 'body instanceof Once once && once.isRead',
    to: 'false',
    tests: javaTests,
  },
  {
    name: 'in Java, what is no ID makes no address',
    file: java,
    from: '!ID.matcher(id).matches()',
    to: 'false',
    tests: javaTests,
  },
  {
    name: 'in Java, a resumable upload goes on with a file of its size only',
    file: java,
    from: '!answer.header("Upload-Length").equals("" + size)',
    to: 'false',
    tests: javaTests,
  },
];
