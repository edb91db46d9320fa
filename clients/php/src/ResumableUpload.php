<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * A resumable upload (tus 1.0): a large file in pieces, which goes on after broken connections and restarts of nodes, and in a later process.
 *
 * @internal
 */
final class ResumableUpload
{
    private const PIECE = 8 * 2 ** 20;
    /** Seconds before each attempt that follows one without progress. */
    private const PAUSES = [0, 1, 3, 5, 10];
    /** Maximum pause, in seconds. */
    private const LONGEST_PAUSE = 30;

    /**
     * @param string $query of the address at which the upload is created, with `?`, or ''
     * @param (callable(int, int|null): mixed)|null $progress
     * @param (callable(string): mixed)|null $created gets the address of the upload
     */
    public function __construct(
        private readonly Transport $transport,
        private readonly Source $source,
        private readonly string $name,
        private readonly string $query,
        private readonly mixed $progress,
        private readonly mixed $created,
    ) {
    }

    /**
     * Sends what is missing; returns the headers of the answer that has the ID.
     *
     * @param string|null $upload address of an upload that is continued; it begins again if the nodes have it no more
     * @return array<string, string>
     */
    public function run(?string $upload): array
    {
        $size = $this->source->size;
        if ($size === null || !$this->source->isSeekable()) {
            throw new \InvalidArgumentException('A resumable upload needs a stream that can be read again from any position.');
        }
        $path = $upload === null ? null : self::pathOf($upload);
        $answer = $path === null ? null : $this->stateOf($path, $size);
        if ($path === null || $answer === null) {
            $path = $this->create($size);
            $answer = $this->stateOf($path, $size) ?? throw new FidfsException('unknown', 0, 'The upload is gone.');
        }
        $attempt = 0;
        while (!isset($answer->headers['fidfs-id'])) {
            if ($attempt > count(self::PAUSES)) {
                throw new FidfsException('unknown', $answer->status, 'The upload makes no progress.');
            }
            $offset = self::offsetOf($answer);
            $after = $this->advance($path, $offset, min(self::PIECE, $size - $offset), $attempt);
            $answer = $after ?? $this->stateOf($path, $size) ?? throw new FidfsException('unknown', 0, 'The upload is gone.');
            $attempt = self::offsetOf($answer) > $offset ? 0 : $attempt + 1;
        }
        return $answer->headers;
    }

    private function create(int $size): string
    {
        $headers = ['Upload-Length' => (string) $size];
        if ($this->name !== '') {
            $headers['Upload-Metadata'] = 'filename ' . base64_encode($this->name);
        }
        $answer = $this->request('POST', "/tus/$this->query", $headers)->expect(201);
        $path = self::pathOf($answer->headers['location'] ?? '');
        if ($this->created !== null) {
            ($this->created)($path);
        }
        return $path;
    }

    /** The answer to HEAD; null if there is no such upload, or one of another size. A node that cannot say it now is asked again. */
    private function stateOf(string $path, int $size): ?Answer
    {
        for ($attempt = 0; ; $attempt++) {
            try {
                $answer = $this->request('HEAD', $path);
                if ($answer->status === 404 || $answer->status === 410) {
                    return null;
                }
                $answer->expect(200);
                return ($answer->headers['upload-length'] ?? '') === (string) $size ? $answer : null;
            } catch (FidfsException $error) {
                $this->pause($attempt, $error);
            }
        }
    }

    /** Sends a piece; returns the answer if it was taken, and null if it is to be asked how the upload stands. */
    private function advance(string $path, int $offset, int $length, int $attempt): ?Answer
    {
        $this->source->from($offset, $length);
        $headers = ['Upload-Offset' => (string) $offset, 'Content-Type' => 'application/offset+octet-stream'];
        $progress = $this->progress;
        $request = new Request(
            'PATCH',
            $path,
            $headers + ['Tus-Resumable' => '1.0.0'],
            $this->source,
            $length,
            // The next one needs not begin at this offset.
            isRepeatable: false,
            progress: $progress === null ? null : fn (int $sent) => $progress($offset + $sent, $this->source->size),
        );
        try {
            return $this->transport->send($request)->expect(204);
        } catch (FidfsException $error) {
            $this->pause($attempt, $error);
            return null;
        }
    }

    /** @param array<string, string> $headers */
    private function request(string $method, string $path, array $headers = []): Answer
    {
        return $this->transport->send(new Request($method, $path, $headers + ['Tus-Resumable' => '1.0.0']));
    }

    /** Waits before the next attempt; throws the error if it would be the same, or after too many attempts. */
    private function pause(int $attempt, FidfsException $error): void
    {
        // 409: another offset, which HEAD returns. 423: another request for the upload is not ended. 507: no space.
        $isPassing = in_array($error->status, [409, 423, 429], true) || ($error->status >= 500 && $error->status !== 507);
        if ((!$isPassing && $error->problem !== 'no-connection') || $attempt >= count(self::PAUSES)) {
            throw $error;
        }
        sleep(min(self::LONGEST_PAUSE, max(self::PAUSES[$attempt], $error->retryAfter ?? 0)));
    }

    private static function offsetOf(Answer $answer): int
    {
        $offset = $answer->headers['upload-offset'] ?? '';
        return ctype_digit($offset) ? (int) $offset : throw new FidfsException('unknown', $answer->status, 'There is no Upload-Offset.');
    }

    /** The path of an upload on any server: addresses of other servers get no key. */
    private static function pathOf(string $address): string
    {
        return preg_match('#/tus/([A-Za-z0-9_-]{1,100})$#D', $address, $found) === 1
            ? "/tus/$found[1]"
            : throw new FidfsException('unknown', 0, 'This is no address of an upload.');
    }
}
