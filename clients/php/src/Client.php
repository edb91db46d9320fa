<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * A client of the nodes of one cluster. Every node takes every request: one that cannot be reached or answers 503 is left for the next one.
 *
 * Methods throw FidfsException for what nodes refuse, and InvalidArgumentException for arguments that make no request.
 *
 * @phpstan-type UploadOptions array{name?: string, ext?: string, group?: string, master?: string, prefix?: string, sha256?: string, progress?: callable(int, int|null): mixed}
 * @phpstan-type ResumableOptions array{name?: string, ext?: string, group?: string, progress?: callable(int, int|null): mixed, resume?: string|null, created?: callable(string): mixed}
 * @phpstan-type Filter array{from?: \DateTimeInterface|string|int, to?: \DateTimeInterface|string|int, order?: 'newest'|'oldest', group?: string, ext?: string}
 */
final class Client
{
    /** Maximum number of IDs of one request. */
    private const MANY = 1000;
    /** Lifetime of the links by which `download` and `info` read private files, in seconds. */
    private const OWN_LINK = 60;
    private readonly Transport $transport;
    private readonly Links $links;

    /**
     * @param string|list<string> $servers addresses such as `http://127.0.0.1:8080`, in the order in which they are asked
     * @param string $key the key of the nodes, or one with the rights that are needed; '' for none
     * @param array{publicUrl?: string|null, downloadKey?: string|null, connectTimeout?: int|float, timeout?: int} $options
     *   `publicUrl`: the address of links, by default the first server's; `downloadKey`: signs links of private files; `connectTimeout`:
     *   seconds until a server counts as away, by default 3; `timeout`: seconds without any byte until a request is given up, by default 60
     */
    public function __construct(string|array $servers, #[\SensitiveParameter] string $key = '', #[\SensitiveParameter] array $options = [])
    {
        Arguments::assertOptions($options, 'publicUrl', 'downloadKey', 'connectTimeout', 'timeout');
        $addresses = array_map(Arguments::address(...), array_values((array) $servers));
        if ($addresses === []) {
            throw new \InvalidArgumentException('There is no server.');
        }
        if (preg_match('/[^\x21-\x7e]/', $key) === 1) {
            throw new \InvalidArgumentException('A key has visible ASCII characters only.');
        }
        $this->transport = new Transport($addresses, $key, $options['connectTimeout'] ?? 3, $options['timeout'] ?? 60);
        $this->links = new Links(Arguments::address($options['publicUrl'] ?? $addresses[0]), $options['downloadKey'] ?? '');
    }

    /**
     * Stores a file of this machine.
     *
     * @param UploadOptions $options `name`: whose extension counts, by default that of the path; `ext`: the extension; `group`: where it is stored;
     *   `master` and `prefix`: it becomes a slave; `sha256`: 64 hex digits, which the node compares; `progress`: gets the bytes sent and all
     *   bytes (null: not known), and aborts the upload by returning false
     */
    public function upload(string $path, array $options = []): StoredFile
    {
        return $this->send(Source::ofPath($path), $options);
    }

    /**
     * Stores what a stream has from its position to its end. A stream without a length (a pipe) is sent to one server only.
     *
     * @param resource $stream
     * @param UploadOptions $options
     */
    public function uploadStream($stream, array $options = []): StoredFile
    {
        return $this->send(Source::ofStream($stream), $options);
    }

    /** @param UploadOptions $options */
    public function uploadString(string $content, array $options = []): StoredFile
    {
        return $this->send(Source::ofString($content), $options);
    }

    /**
     * Stores a file whose content is already there without sending it; null says that it has to be sent: `$client->uploadKnown($path) ?? $client->upload($path)`.
     *
     * @param array{name?: string, ext?: string} $options
     */
    public function uploadKnown(string $path, array $options = []): ?StoredFile
    {
        Arguments::assertOptions($options, 'name', 'ext');
        $source = Source::ofPath($path);
        return (new KnownUpload($this->transport, $source))->run($options['ext'] ?? Arguments::extension($options['name'] ?? $source->name));
    }

    /**
     * Stores a large file in pieces (tus); goes on after broken connections and restarts of nodes.
     *
     * @param string|resource $file a path, or a stream that can be read from any position
     * @param ResumableOptions $options as for `upload`; `created`: gets the address of the upload, with which a later process can go
     *   on within a day; `resume`: that address
     */
    public function uploadResumable($file, array $options = []): StoredFile
    {
        Arguments::assertOptions($options, 'name', 'ext', 'group', 'progress', 'resume', 'created');
        $source = is_string($file) ? Source::ofPath($file) : Source::ofStream($file);
        $name = Arguments::short($options['name'] ?? $source->name);
        $upload = new ResumableUpload(
            $this->transport,
            $source,
            isset($options['ext']) ? "file.{$options['ext']}" : $name,
            Encoding::query(['group' => $options['group'] ?? null]),
            $options['progress'] ?? null,
            $options['created'] ?? null,
        );
        $headers = $upload->run($options['resume'] ?? null);
        return new StoredFile($headers['fidfs-id'] ?? '', $headers['fidfs-url'] ?? '', $source->size ?? 0);
    }

    /** Deletes a file and its slaves; false says that it was not there. */
    public function delete(string $id, bool $keepSlaves = false): bool
    {
        $path = '/' . Links::checked($id) . ($keepSlaves ? '?slaves=keep' : '');
        return $this->transport->send(new Request('DELETE', $path))->expect(202, 204, 404)->status !== 404;
    }

    /**
     * Deletes files; returns a result for each, in their order.
     *
     * @param iterable<string> $ids
     * @return list<Result>
     */
    public function deleteMany(iterable $ids, bool $keepSlaves = false): array
    {
        return $this->askMany('/delete' . ($keepSlaves ? '?slaves=keep' : ''), $ids);
    }

    /** What is stored under an ID; null if it is not there. */
    public function stat(string $id): ?ListedFile
    {
        $result = $this->statMany([$id])[0];
        if ($result->file === null && $result->status !== 'not-found') {
            $status = ['bad-id' => 400, 'no-right' => 403, 'unavailable' => 503][$result->status] ?? 500;
            throw new FidfsException($result->status, $status, $result->detail ?? 'no reason given');
        }
        return $result->file;
    }

    /**
     * Whether and what is stored under IDs; returns a result for each, in their order.
     *
     * @param iterable<string> $ids
     * @return list<Result>
     */
    public function statMany(iterable $ids): array
    {
        return $this->askMany('/stat', $ids);
    }

    /**
     * The files of the cluster by time, a page of 1,000 in memory at a time.
     *
     * @param Filter $filter created at `from` or later and before `to`; `order` is `newest` (the default) or `oldest` first; of one group; with one extension
     * @return \Generator<int, ListedFile>
     */
    public function list(array $filter = []): \Generator
    {
        Arguments::assertOptions($filter, 'from', 'to', 'order', 'group', 'ext');
        $time = fn (\DateTimeInterface|string|int|null $time) => $time instanceof \DateTimeInterface ? $time->getTimestamp() : $time;
        $parameters = ['from' => $time($filter['from'] ?? null), 'to' => $time($filter['to'] ?? null), 'limit' => self::MANY]
            + ['order' => $filter['order'] ?? null, 'group' => $filter['group'] ?? null, 'ext' => $filter['ext'] ?? null];
        return $this->pages($parameters);
    }

    /**
     * What an ID contains, whether or not the file exists (docs/http.md).
     *
     * @return array<array-key, mixed>
     */
    public function info(string $id): array
    {
        $path = '/info/' . Links::checked($id) . $this->ownQuery($id);
        return $this->transport->send(new Request('GET', $path))->expect(200)->json()->members();
    }

    /** @return array<string, string> */
    public function metadata(string $id): array
    {
        $answer = $this->transport->send(new Request('GET', '/metadata/' . Links::checked($id)))->expect(200);
        $metadata = [];
        foreach ($answer->json()->members() as $name => $value) {
            $metadata[(string) $name] = is_string($value) ? $value : throw new FidfsException('unknown', 200, 'Metadata is text.');
        }
        return $metadata;
    }

    /**
     * Replaces the metadata of a file.
     *
     * @param array<string, string> $metadata
     */
    public function setMetadata(string $id, array $metadata): void
    {
        $this->transport->send(Request::json('PUT', '/metadata/' . Links::checked($id), (object) $metadata))->expect(202, 204);
    }

    /**
     * Reads a file into a path, which has the whole file or is as before, or into a stream. Returns the number of bytes.
     *
     * @param string|resource $to
     * @param (callable(int, int|null): mixed)|null $progress gets the bytes received and all bytes; aborts by returning false
     */
    public function download(string $id, $to, ?callable $progress = null): int
    {
        $path = '/' . Links::checked($id) . $this->ownQuery($id);
        $target = Target::of($to);
        try {
            $request = new Request('GET', $path, ['Accept' => '*/*'], target: $target->stream, progress: $progress);
            $answer = $this->transport->send($request)->expect(200);
            $target->keep();
            return $answer->written;
        } finally {
            $target->close();
        }
    }

    /** The address of a file; with a name the browser saves it under that name. */
    public function url(string $id, string $download = ''): string
    {
        return $this->links->url($id, $download);
    }

    /** The address of a picture of a file, by a preset of the node. */
    public function pictureUrl(string $preset, string $id): string
    {
        return $this->links->picture($preset, $id);
    }

    /** The address of a private file, or with a preset of a picture of it, that ends after some seconds. Needs the option `downloadKey`. */
    public function signedUrl(string $id, int $seconds = 3600, string $download = '', string $preset = ''): string
    {
        return $this->links->signed($id, $seconds, $download, $preset);
    }

    /**
     * A token with which a browser uploads (docs/keys.md).
     *
     * @param string $keyName name of a key with the right `sign`; '' for the key of the settings
     * @param int $seconds until it ends, up to a day
     * @param int|null $maxSize bytes of the largest file
     * @param list<string> $types extensions and media types; none: all
     */
    public static function uploadToken(
        string $keyName,
        #[\SensitiveParameter] string $secret,
        int $seconds = 3600,
        ?int $maxSize = null,
        array $types = [],
        ?string $group = null,
    ): string {
        $claims = ['exp' => time() + $seconds, 'maxSize' => $maxSize, 'types' => $types === [] ? null : $types, 'group' => $group];
        return Encoding::jwt($keyName, array_filter($claims, fn (mixed $claim) => $claim !== null), $secret);
    }

    /** @param UploadOptions $options */
    private function send(Source $source, array $options): StoredFile
    {
        Arguments::assertOptions($options, 'name', 'ext', 'group', 'master', 'prefix', 'sha256', 'progress');
        $name = Arguments::short($options['name'] ?? $source->name);
        $query = Encoding::query([
            'filename' => isset($options['ext']) || $name === '' ? null : $name,
            'ext' => $options['ext'] ?? null,
            'group' => $options['group'] ?? null,
            'master' => $options['master'] ?? null,
            'prefix' => $options['prefix'] ?? null,
        ]);
        $headers = ['Content-Type' => 'application/octet-stream'];
        if (isset($options['sha256'])) {
            $digest = @hex2bin($options['sha256']);
            $headers['Repr-Digest'] = 'sha-256=:' . base64_encode($digest === false ? '' : $digest) . ':';
        }
        $progress = $options['progress'] ?? null;
        $request = new Request('POST', "/upload$query", $headers, $source, $source->size, progress: $progress);
        return StoredFile::in($this->transport->send($request));
    }

    /**
     * @param iterable<string> $ids
     * @return list<Result>
     */
    private function askMany(string $path, iterable $ids): array
    {
        $all = is_array($ids) ? array_values($ids) : iterator_to_array($ids, false);
        $results = [];
        foreach (array_chunk($all, self::MANY) as $some) {
            // No ID is as long as this; what is longer would make the request too large, and the others fail with it.
            $cut = array_map(fn (string $id) => substr($id, 0, 160), $some);
            $answers = $this->transport->send(Request::json('POST', $path, ['ids' => $cut]))->expect(200)->json()->objects('results');
            if (count($answers) !== count($some)) {
                throw new FidfsException('unknown', 200, 'There is not a result for each ID.');
            }
            foreach ($answers as $index => $answer) {
                $results[] = Result::of($some[$index], $answer);
            }
        }
        return $results;
    }

    /**
     * @param array<string, string|int|null> $parameters
     * @return \Generator<int, ListedFile>
     */
    private function pages(array $parameters): \Generator
    {
        $after = null;
        do {
            $path = '/files' . Encoding::query(['after' => $after] + $parameters);
            $page = $this->transport->send(new Request('GET', $path))->expect(200)->json();
            foreach ($page->objects('files') as $file) {
                yield ListedFile::of($file);
            }
            $after = $page->textOrNull('next');
        } while ($after !== null);
    }

    private function ownQuery(string $id): string
    {
        return $this->links->canSign() ? $this->links->query($id, self::OWN_LINK) : '';
    }
}
