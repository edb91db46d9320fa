import { gzipSync } from 'node:zlib';
import t from 'tap';
import { assertTypes } from '../../daemon/http/rights/file-types.js';

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex');
const JPEG = Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex');
const ZIP = Buffer.concat([Buffer.from('504b0304140000000000', 'hex'), Buffer.alloc(40)]);
const OLE = Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(600)]);
const PDF = Buffer.from('%PDF-1.7\n%\xe2\xe3\n1 0 obj\n', 'latin1');
const HTML = Buffer.from('<!doctype html><script>alert(1)</script>');
const movie = (brand: string) => Buffer.from(`\0\0\0\x18ftyp${brand}\0\0\0\0isommp42`, 'latin1');

/** Whether a file passes: "yes", or the beginning of the problem's detail. */
async function verdict(types: string[], extension: string, content: Buffer): Promise<string> {
  const access = { key: undefined, limits: [{ whose: 'this upload token', types }] };
  return assertTypes(access, [{ extension, content: [content] }]).then(
    () => 'yes',
    (error: Error) => error.message,
  );
}

t.test('a file passes if its extension is permitted, and its first bytes are those of its extension', async (t) => {
  const passing: [types: string[], extension: string, content: Buffer][] = [
    [['jpg'], 'jpg', JPEG],
    [['jpg'], 'JPG', JPEG],
    [['jpg'], 'jpeg', JPEG],
    [['image/jpeg'], 'jpeg', JPEG],
    [['image/*'], 'png', PNG],
    [['pdf', 'image/*'], 'pdf', PDF],
    [['docx'], 'docx', ZIP],
    [['doc', 'xls'], 'doc', OLE],
    [['video/*'], 'mp4', movie('qt  ')],
    [['mov'], 'mov', movie('qt  ')],
    [['image/*'], 'avif', movie('mif1')],
    [['tar.gz'], 'tar.gz', gzipSync('x')],
    // Formats without a signature.
    [['txt'], 'txt', Buffer.from('words')],
    [['text/*'], 'csv', Buffer.from('a,b\n')],
    [['json'], 'json', Buffer.from('{}')],
    [['image/*', 'svg'], 'svg', Buffer.from('<?xml version="1.0"?><svg/>')],
    [['image/svg+xml'], 'svg', Buffer.from('<svg/>')],
    [['txt'], 'txt', Buffer.alloc(0)],
    [['bin'], 'bin', Buffer.from('anything')],
  ];
  for (const [types, extension, content] of passing)
    t.equal(await verdict(types, extension, content), 'yes', extension);
  const extension = /^This upload token is for .* only, not for /;
  const content = /^The first bytes of the file are /;
  const refused: [types: string[], extension: string, content: Buffer, words: RegExp][] = [
    [['jpg'], 'png', PNG, extension],
    [['image/*'], 'html', HTML, extension],
    // Scripts of those would run where they are shown.
    [['image/*', 'png'], 'svg', Buffer.from('<svg/>'), extension],
    [['text/*', 'application/*'], 'html', HTML, extension],
    [['text/*', 'application/*'], 'js', Buffer.from('x'), extension],
    [['image/*'], '', PNG, extension],
    [['image/png'], 'jpg', JPEG, extension],
    [['bin'], 'exe', Buffer.from('MZ'), extension],
    [['image/*'], 'jpg', HTML, content],
    [['image/*'], 'jpeg', HTML, content],
    [['image/*'], 'jpg', PNG, content],
    [['image/*'], 'jpg', Buffer.alloc(0), content],
    [['docx'], 'docx', HTML, content],
    [['doc'], 'doc', HTML, content],
    [['pdf'], 'pdf', ZIP, content],
    [['video/*'], 'mp4', PNG, content],
    [['txt'], 'txt', PNG, content],
    [['mp4'], 'mp4', movie('avif'), content],
  ];
  for (const [types, name, bytes, words] of refused) t.match(await verdict(types, name, bytes), words, name);
});
