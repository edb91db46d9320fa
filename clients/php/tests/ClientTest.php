<?php

declare(strict_types=1);

namespace Fidfs\Tests;

use Fidfs\Client;
use Fidfs\FidfsException;
use Fidfs\StoredFile;
use PHPUnit\Framework\TestCase;

/**
 * The client against a cluster of two groups, group1 open, group2 private. The environment names: SERVER, a node of group1; PRIVATE, one of group2; HELPER, a
 * server that misbehaves, by the first part of the path; KEY; DOWNLOAD_KEY.
 */
final class ClientTest extends TestCase
{
    private string $directory;
    private Client $client;

    protected function setUp(): void
    {
        $this->directory = sys_get_temp_dir() . '/fidfs-php-' . bin2hex(random_bytes(6));
        mkdir($this->directory);
        $this->client = self::client([self::env('SERVER')]);
    }

    protected function tearDown(): void
    {
        array_map(unlink(...), glob("$this->directory/*") ?: []);
        rmdir($this->directory);
    }

    private static function env(string $name): string
    {
        return (string) getenv("FIDFS_TEST_$name");
    }

    /** @param list<string> $servers */
    private static function client(array $servers): Client
    {
        return new Client($servers, self::env('KEY'));
    }

    private static function helper(string $way): string
    {
        return self::env('HELPER') . "/$way";
    }

    private function file(string $name, string $content): string
    {
        file_put_contents("$this->directory/$name", $content);
        return "$this->directory/$name";
    }

    private function contentOf(string $id, ?Client $client = null): string
    {
        ($client ?? $this->client)->download($id, "$this->directory/download");
        return (string) file_get_contents("$this->directory/download");
    }

    private function failure(callable $function): FidfsException
    {
        try {
            $function();
        } catch (FidfsException $error) {
            return $error;
        }
        self::fail('There was no FidfsException.');
    }

    public function testUploadsOfPathsStreamsAndStrings(): void
    {
        $content = random_bytes(300_000);
        $path = $this->file('a "1" + ü.jpg', $content);
        $seen = [];
        $file = $this->client->upload($path, ['group' => 'group1', 'progress' => function (int $sent, ?int $all) use (&$seen): void {
            $seen[] = [$sent, $all];
        }]);
        self::assertMatchesRegularExpression('#^group1/M00/.*\.jpg$#', $file->id);
        self::assertSame([300_000, hash('sha256', $content), hash('crc32b', $content), 1], [$file->size, $file->sha256, $file->crc32, $file->copies]);
        self::assertSame(self::env('SERVER') . "/$file->id", $file->url);
        self::assertEqualsWithDelta(time(), $file->created?->getTimestamp(), 60);
        self::assertSame($content, $this->contentOf($file->id));
        self::assertSame([300_000, 300_000], end($seen));

        $stream = fopen($path, 'rb');
        fseek($stream, 100_000);
        $rest = $this->client->uploadStream($stream, ['name' => 'rest.tar.gz', 'group' => 'group1']);
        self::assertStringEndsWith('.tar.gz', $rest->id);
        self::assertSame(substr($content, 100_000), $this->contentOf($rest->id));

        $pipe = popen('head -c 3000000 /dev/zero 2>/dev/null', 'r');
        $piped = $this->client->uploadStream($pipe, ['ext' => 'bin', 'group' => 'group1']);
        self::assertSame([3_000_000, hash('sha256', str_repeat("\0", 3_000_000))], [$piped->size, $piped->sha256]);

        $filtered = fopen($path, 'rb');
        stream_filter_append($filtered, 'convert.base64-encode', STREAM_FILTER_READ);
        self::assertSame('source', $this->failure(fn () => $this->client->uploadStream($filtered))->problem);
        $empty = $this->client->uploadString('', ['group' => 'group1']);
        self::assertSame([0, ''], [$empty->size, $this->contentOf($empty->id)]);
        $digest = $this->failure(fn () => $this->client->uploadString('x', ['sha256' => hash('sha256', 'y')]));
        self::assertSame([400, 'digest-mismatch'], [$digest->status, $digest->problem]);

        $slave = $this->client->uploadString('small', ['master' => $file->id, 'prefix' => '_150x150', 'ext' => 'webp']);
        self::assertSame(substr($file->id, 0, -4) . '_150x150.webp', $slave->id);
        self::assertSame('exists', $this->failure(fn () => $this->client->uploadString('s', ['master' => $file->id, 'prefix' => '_150x150', 'ext' => 'webp']))->problem);
    }

    public function testHostileNames(): void
    {
        $names = ["a\r\nX-Evil: 1.jpg" => '.jpg', "nul\0.png" => '.png', '../../etc/passwd' => '', '"; ü%00&ext=exe#.gif' => '.gif', str_repeat('ü', 5000) . '.pdf' => '.pdf'];
        $names += ["\xff\xfe.txt" => '.txt', '.htaccess' => '', 'a.' . str_repeat('x', 300) => '', 'x&group=none&y=.zip' => '.zip'];
        foreach ($names as $name => $ending) {
            foreach ([$this->client->uploadString('x', ['name' => $name, 'group' => 'group1']), $this->client->uploadResumable($this->file('x', 'x'), ['name' => $name, 'group' => 'group1'])] as $file) {
                self::assertMatchesRegularExpression('#^group1/M00/../../[\w-]{27}\d{3,7}' . preg_quote($ending, '#') . '$#', $file->id, rawurlencode($name));
            }
        }
    }

    public function testKnownFilesAreNotSent(): void
    {
        $path = $this->file('known.bin', random_bytes(200_000));
        self::assertNull($this->client->uploadKnown($path));
        $file = $this->client->upload($path, ['group' => 'group1']);
        $known = $this->client->uploadKnown($path, ['name' => 'x.tar.gz']);
        self::assertInstanceOf(StoredFile::class, $known);
        self::assertNotSame($file->id, $known->id);
        self::assertSame([$file->sha256, 200_000], [$known->sha256, $known->size]);
        self::assertStringEndsWith('.tar.gz', $known->id);
    }

    public function testLargeFilesInFlatMemory(): void
    {
        $size = 64 * 2 ** 20 + 1;
        ftruncate(fopen("$this->directory/large", 'w'), $size);
        $before = memory_get_peak_usage();
        $file = $this->client->upload("$this->directory/large", ['group' => 'group1']);
        $resumable = $this->client->uploadResumable("$this->directory/large", ['group' => 'group1', 'ext' => 'img']);
        self::assertStringEndsWith('.img', $resumable->id);
        foreach ([$file, $resumable] as $stored) {
            self::assertSame($size, $this->client->download($stored->id, "$this->directory/copy"));
            self::assertSame(hash_file('sha256', "$this->directory/large"), hash_file('sha256', "$this->directory/copy"));
        }
        self::assertLessThan($before + 2 * 2 ** 20, memory_get_peak_usage());
    }

    /** Seen to fail with an address of any form for an upload. */
    public function testAbortAndResume(): void
    {
        $content = random_bytes(20_000_000);
        $path = $this->file('film.mp4', $content);
        $abort = fn (int $sent) => $sent < 9_000_000;
        self::assertSame('aborted', $this->failure(fn () => $this->client->upload($path, ['progress' => $abort]))->problem);
        $upload = null;
        $created = function (string $address) use (&$upload): void {
            $upload = $address;
        };
        self::assertSame('aborted', $this->failure(fn () => $this->client->uploadResumable($path, ['progress' => $abort, 'created' => $created, 'group' => 'group1']))->problem);
        $first = null;
        $progress = function (int $sent, ?int $all) use (&$first): void {
            $first ??= $sent;
            self::assertSame(20_000_000, $all);
        };
        $file = $this->client->uploadResumable($path, ['resume' => $upload, 'progress' => $progress]);
        self::assertGreaterThanOrEqual(8 * 2 ** 20, $first);
        self::assertSame($content, $this->contentOf($file->id));
        // It is complete, so that nothing is sent again.
        self::assertSame($file->id, $this->client->uploadResumable($path, ['resume' => $upload])->id);
        // An upload that is gone begins again.
        self::assertNotSame($file->id, $this->client->uploadResumable($path, ['resume' => '/tus/1-' . str_repeat('0', 32)])->id);
        $elsewhere = $this->failure(fn () => $this->client->uploadResumable($path, ['resume' => 'http://127.0.0.1:1/x']));
        self::assertSame('unknown', $elsewhere->problem);

        // A file that becomes shorter ends the upload at once; seen to fail (after the timeout) without the 1 that the progress function returns then.
        ftruncate(fopen($large = $this->file('shrinks', ''), 'r+'), 30_000_000);
        $begin = microtime(true);
        $shorter = $this->failure(fn () => $this->client->upload($large, ['progress' => fn () => ftruncate(fopen($large, 'r+'), 100)]));
        self::assertSame('source', $shorter->problem);
        self::assertLessThan(10, microtime(true) - $begin);

        // A function that throws ends the upload, and its exception is that of the upload.
        $this->expectExceptionMessage('mine');
        $this->client->upload($path, ['progress' => fn () => throw new \DomainException('mine')]);
    }

    /**
     * Seen to fail without 503 among the statuses of servers that are away, without the body read from its beginning for the next one, with a pipe
     * that is sent again, and without further attempts for a piece.
     */
    public function testTheNextServer(): void
    {
        $path = $this->file('x.jpg', $content = random_bytes(3_000_000));
        foreach (['http://127.0.0.1:1', self::helper('busy'), self::helper('breaks'), 'http://name.invalid'] as $away) {
            $client = self::client([$away, self::env('SERVER')]);
            self::assertSame($content, $this->contentOf($client->upload($path, ['group' => 'group1'])->id), $away);
            self::assertSame($content, $this->contentOf(self::client([$away, self::env('SERVER')])->uploadResumable($path, ['group' => 'group1'])->id), $away);
        }
        // What a pipe had cannot be sent again, unless nothing was sent.
        $pipe = fn () => popen('head -c 5000000 /dev/zero 2>/dev/null', 'r');
        self::assertSame(5_000_000, self::client(['http://127.0.0.1:1', self::env('SERVER')])->uploadStream($pipe())->size);
        $broken = $this->failure(fn () => self::client([self::helper('breaks'), self::env('SERVER')])->uploadStream($pipe()));
        self::assertSame(['no-connection', 0], [$broken->problem, $broken->status]);

        $busy = $this->failure(fn () => self::client([self::helper('busy'), 'http://127.0.0.1:1'])->upload($path));
        self::assertSame(['unavailable', 503, 7, 'Just now not.'], [$busy->problem, $busy->status, $busy->retryAfter, $busy->detail]);
        self::assertSame('no-connection', $this->failure(fn () => self::client(['http://127.0.0.1:1'])->stat('x'))->problem);
        self::assertSame(['unknown', 200], [($alien = $this->failure(fn () => self::client([self::helper('alien')])->stat('x')))->problem, $alien->status ?: 200]);

        // A connection that breaks within the second piece: the upload goes on where it stands.
        $long = $this->file('long.bin', $content = random_bytes(12_000_000));
        self::assertSame($content, $this->contentOf(self::client([self::helper('flaky')])->uploadResumable($long, ['group' => 'group1'])->id));
    }

    /** Seen to fail with any text as an ID, and with IDs sent in their whole length. */
    public function testDeletionsAndStat(): void
    {
        $ids = array_map(fn (int $number) => $this->client->uploadString("$number", ['ext' => 'txt'])->id, [1, 2, 3]);
        $stat = $this->client->stat($ids[0]);
        self::assertSame([$ids[0], 'normal', 1, 'txt', hash('sha256', '1')], [$stat?->id, $stat?->kind, $stat?->size, $stat?->ext, $stat?->sha256]);
        self::assertTrue($this->client->delete($ids[0]));
        self::assertFalse($this->client->delete($ids[0]));
        self::assertNull($this->client->stat($ids[0]));
        $hostile = [...$ids, '../files', "\xff", str_repeat('x', 300_000), ''];
        $statuses = array_map(fn ($result) => $result->status, $this->client->deleteMany($hostile));
        self::assertSame(['not-found', 'deleted', 'deleted', 'bad-id', 'bad-id', 'bad-id', 'bad-id'], $statuses);
        self::assertSame(['not-found', 'not-found', 'not-found'], array_map(fn ($result) => $result->status, $this->client->statMany(new \ArrayIterator($ids))));
        self::assertSame([], $this->client->deleteMany([]));
        self::assertCount(2500, $this->client->statMany(array_fill(0, 2500, $ids[0])));
        self::assertSame(['bad-id', 400], [($bad = $this->failure(fn () => $this->client->stat('x')))->problem, $bad->status]);
        foreach (['../files', 'files', "group1/M00/00/00/\r\nX: y", '', $ids[0] . '?slaves=keep', $ids[0] . '/..', $ids[0] . "\n"] as $id) {
            foreach ([$this->client->delete(...), $this->client->url(...), $this->client->info(...), fn (string $id) => $this->client->download($id, "$this->directory/x")] as $method) {
                self::assertSame('bad-id', $this->failure(fn () => $method($id))->problem, $id);
            }
        }
    }

    public function testLists(): void
    {
        $ids = array_map(fn (int $number) => $this->client->uploadString("list $number", ['ext' => 'lst'])->id, range(1, 5));
        $listed = iterator_to_array($this->client->list(['ext' => 'lst', 'from' => new \DateTimeImmutable('-1 hour'), 'order' => 'oldest']), false);
        self::assertEqualsCanonicalizing($ids, array_map(fn ($file) => $file->id, $listed));
        self::assertSame([], iterator_to_array($this->client->list(['ext' => 'lst', 'to' => '2020-01-01'])));
        self::assertSame('no-such-group', $this->failure(fn () => iterator_to_array($this->client->list(['group' => 'nine'])))->problem);
    }

    /** Seen to fail with a download that is written to its path at once. */
    public function testInfoMetadataAndDownloads(): void
    {
        $id = $this->client->uploadString('0123456789', ['ext' => 'txt', 'group' => 'group1'])->id;
        self::assertSame(['group1', 10], [$this->client->info($id)['group'], $this->client->info($id)['size']]);
        self::assertSame([], $this->client->metadata($id));
        $this->client->setMetadata($id, ['title' => "Hafen \"ü\"/\n", '7' => 'seven']);
        self::assertEquals(['title' => "Hafen \"ü\"/\n", '7' => 'seven'], $this->client->metadata($id));
        $this->client->setMetadata($id, []);
        self::assertSame([], $this->client->metadata($id));

        $stream = fopen('php://memory', 'w+b');
        fwrite($stream, 'before ');
        $seen = null;
        self::assertSame(10, $this->client->download($id, $stream, function (int $got, ?int $all) use (&$seen): void {
            $seen = [$got, $all];
        }));
        rewind($stream);
        self::assertSame('before 0123456789', stream_get_contents($stream));
        self::assertSame([10, 10], $seen);
        $old = $this->file('old', 'old');
        self::assertSame('incomplete', $this->failure(fn () => self::client([self::helper('short'), self::env('SERVER')])->download($id, $old))->problem);
        self::assertSame('not-found', $this->failure(fn () => $this->client->download(str_replace('.txt', '.doc', $id), $old))->problem);
        self::assertSame('target', $this->failure(fn () => $this->client->download($id, "$this->directory/none/x"))->problem);
        self::assertSame(['old', ['.', '..', 'old']], [file_get_contents($old), scandir($this->directory)]);
        self::assertSame(10, $this->client->download($id, "$this->directory/" . str_repeat('n', 255)));
    }

    /** Seen to fail with a link that is signed for a short ID. */
    public function testPrivateFilesLinksAndPictures(): void
    {
        $signing = new Client(self::env('SERVER'), self::env('KEY'), ['downloadKey' => self::env('DOWNLOAD_KEY')]);
        $id = $signing->upload(self::env('PICTURE'), ['group' => 'group2'])->id;
        self::assertStringStartsWith('group2/', $id);
        self::assertSame('not-signed', $this->failure(fn () => $this->contentOf($id))->problem);
        self::assertSame('not-signed', $this->failure(fn () => self::client([self::env('PRIVATE')])->info($id))->problem);
        $content = (string) file_get_contents(self::env('PICTURE'));
        self::assertSame($content, $this->contentOf($id, $signing));
        $private = new Client(self::env('PRIVATE'), '', ['downloadKey' => self::env('DOWNLOAD_KEY')]);
        self::assertSame('group2', $private->info($id)['group']);
        $status = function (string $url): int {
            file_get_contents($url, false, stream_context_create(['http' => ['ignore_errors' => true]]));
            return (int) explode(' ', $http_response_header[0])[1];
        };
        $name = 'Häfen & "Nacht" 100%.jpg';
        self::assertSame(200, $status($signing->signedUrl($id, 60, $name)));
        self::assertSame(200, $status($signing->signedUrl($id, 60)));
        self::assertSame(200, $status($signing->signedUrl($id, 60, '', 'thumb')));
        self::assertSame(403, $status($signing->signedUrl($id, -1)));
        self::assertSame(403, $status(str_replace('Nacht', 'Tag', $signing->signedUrl($id, 60, $name))));
        self::assertSame(403, $status($signing->pictureUrl('thumb', $id)));
        $open = $signing->upload(self::env('PICTURE'), ['group' => 'group1'])->id;
        self::assertSame($content, $this->contentOf($open, $signing));
        self::assertSame([200, 404], [$status($signing->pictureUrl('thumb', $open)), $status($signing->pictureUrl('none', $open))]);
        self::assertSame(200, $status($signing->url($open, $name)));
        self::assertSame('bad-id', $this->failure(fn () => $signing->signedUrl(substr($id, strlen('group2/'))))->problem);
        self::assertSame('https://files.example.org/f/' . $id, (new Client('http://127.0.0.1:1', '', ['publicUrl' => 'https://files.example.org/f/']))->url($id));
        $this->expectException(\LogicException::class);
        $this->client->signedUrl($id);
    }

    /** Seen to fail with the key in what var_dump shows. */
    public function testKeysAndTokens(): void
    {
        $wrong = $this->failure(fn () => (new Client(self::env('SERVER'), 'not-the-key-0123456789'))->uploadString('x'));
        self::assertSame(['wrong-key', 401], [$wrong->problem, $wrong->status]);
        self::assertStringStartsWith('fidfs: 401 wrong-key: ', $wrong->getMessage());
        self::assertSame('no-key', $this->failure(fn () => (new Client(self::env('SERVER')))->uploadString('x'))->problem);
        $with = fn (mixed ...$limits) => new Client(self::env('SERVER'), Client::uploadToken('', self::env('KEY'), ...$limits));
        $limited = $with(seconds: 60, maxSize: 2000, types: ['image/*'], group: 'group1');
        self::assertStringStartsWith('group1/', $limited->upload(self::env('PICTURE'))->id);
        self::assertSame('too-large', $this->failure(fn () => $limited->uploadString(str_repeat('x', 2001), ['ext' => 'jpg']))->problem);
        self::assertSame('type-not-allowed', $this->failure(fn () => $limited->uploadString('<html>', ['ext' => 'html']))->problem);
        self::assertSame('no-right', $this->failure(fn () => $limited->stat('x'))->problem);
        self::assertSame('wrong-token', $this->failure(fn () => $with(seconds: -1)->uploadString('x'))->problem);

        // Neither the trace of an exception nor var_dump shows a key.
        ob_start();
        var_dump($this->client, new Client('http://127.0.0.1:1', 'secret-key-0123456789', ['downloadKey' => 'secret-download-key']));
        $dumped = (string) ob_get_clean();
        self::assertStringNotContainsString(self::env('KEY'), $dumped);
        self::assertStringNotContainsString('secret-', $dumped);
        $arguments = [['ftp://x'], [[]], ['http://x', "key\r\nX-Evil: 1"], ['http://x', 'key', ['no' => 1]], ['http://user@x'], ['http://x?y']];
        foreach ($arguments as $given) {
            try {
                new Client(...$given);
                self::fail('There was no exception.');
            } catch (\InvalidArgumentException $error) {
                self::assertStringNotContainsString('Evil', $error->getMessage());
            }
        }
        self::assertSame('source', $this->failure(fn () => $this->client->upload('http://127.0.0.1/x'))->problem);
        self::assertSame('source', $this->failure(fn () => $this->client->upload($this->directory))->problem);
        $this->expectExceptionMessage('There is no option extension');
        $this->client->uploadString('x', ['extension' => 'jpg']);
    }
}
