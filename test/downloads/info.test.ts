import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { TestNode } from '../helpers/node.js';

t.test('GET /info', async (t) => {
  const node = await TestNode.start(t);
  const info = async (id: string) => {
    const { status, headers, body } = await node.get(`/info/${id}`);
    return { status, type: headers['content-type'], info: JSON.parse(body.toString()) };
  };

  t.test('says of an upload what the 201 said', async (t) => {
    const { id, created, crc32 } = await node.upload(Buffer.from('123456789'), '?ext=txt');
    t.equal(crc32, 'cbf43926');
    t.strictSame(await info(id), {
      status: 200,
      type: 'application/json',
      info: { id, group: 'group1', storePath: 0, kind: 'normal', source: { serverId: 1 }, created, size: 9, crc32 },
    });
  });

  // Seen to fail with the master's size in a slave, and with an address read little-endian, in decodeName.
  t.test('knows every kind of ID, of other groups and of files that are not here too', async (t) => {
    const created = '2026-11-22T06:16:19Z';
    const ip = (last: number) => ({ ip: `10.66.0.${last}` });
    const known: [id: string, says: object][] = [
      [
        'group2/M00/00/00/oYYBAGsCiLOAN74OAAAD6HTj-0E584.jpg',
        { group: 'group2', storePath: 0, kind: 'normal', source: { serverId: 100001 }, size: 1000, crc32: '74e3fb41' },
      ],
      [
        'group1/M01/00/01/CkIAAWsCiLOEQ3OdAAAAAFjJMvU952.log',
        { group: 'group1', storePath: 1, kind: 'appender', source: ip(1), size: null, crc32: null },
      ],
      [
        'group1/M00/00/01/CkIAAWsCiLOAfZgLAAAD6HTj-0E013_150x150.jpg',
        { group: 'group1', storePath: 0, kind: 'slave', source: ip(1), size: null, crc32: null },
      ],
      [
        'group1/M00/00/00/CkIAA2sCiLOIOO1uAAAD6HTj-0EAAAAAQADMQAAAAQA816.jpg',
        { group: 'group1', storePath: 0, kind: 'trunk', source: ip(3), size: 1000, crc32: '74e3fb41' },
      ],
    ];
    for (const [id, says] of known) t.strictSame((await info(id)).info, { id, created, ...says });
  });

  // Seen to fail without the catch in `info`.
  t.test('is 400 with the reason for what is no ID', async (t) => {
    const right = 'group1/M00/00/01/CkIAAWsCiLOAAlsdAAAD6HTj-0E952.txt';
    const wrong = [
      '',
      'x',
      right.replace('group1', 'a group'),
      `${right}/x`,
      right.replace('M00', 'M0g'),
      right.replace('0E952', '0F952'),
    ];
    for (const id of [...wrong, `${right}-m`, right.replace('CkIA', 'AAAA').replace('AWsC', 'AGsC')]) {
      assertProblem(t, await node.get(`/info/${id}`), 400, 'bad-id', id);
    }
  });
});
