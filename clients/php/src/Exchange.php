<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * One request and its answer on a curl handle. Exceptions of functions that curl calls are kept until the transfer has ended, because curl
 * itself would go on.
 *
 * @internal
 */
final class Exchange
{
    /** Maximum length of a body that is kept in memory, in bytes. */
    private const BODY_LIMIT = 2 ** 24;
    private int $status = 0;
    /** @var array<string, string> */
    private array $headers = [];
    private string $body = '';
    /** Bytes written to the target. */
    private int $written = 0;
    private int $reported = -1;
    private ?\Throwable $failure = null;

    public function __construct(private readonly \CurlHandle $curl, private readonly Request $request)
    {
    }

    /**
     * Returns curl's code of the transfer; throws what a function that curl called has thrown.
     *
     * @param array<int, mixed> $options
     */
    public function run(array $options): int
    {
        $body = $this->request->body;
        if ($body instanceof Source) {
            $options += [
                CURLOPT_UPLOAD => true,
                CURLOPT_READFUNCTION => fn (mixed $curl, mixed $stream, int $length): string =>
                    $this->guarded(fn () => $body->read($length), ''),
            ];
            // Without a size curl sends the body in chunks.
            if ($this->request->size !== null) {
                $options[CURLOPT_INFILESIZE] = $this->request->size;
            }
        } elseif ($body !== null) {
            $options[CURLOPT_POSTFIELDS] = $body;
        }
        curl_setopt_array($this->curl, $options + [
            CURLOPT_CUSTOMREQUEST => $this->request->method,
            CURLOPT_NOBODY => $this->request->method === 'HEAD',
            CURLOPT_HEADERFUNCTION => fn (mixed $curl, string $line): int => $this->takeHeader($line),
            CURLOPT_WRITEFUNCTION => fn (mixed $curl, string $bytes): int =>
                $this->guarded(fn () => $this->takeBody($bytes), 0),
            CURLOPT_NOPROGRESS => false,
            CURLOPT_PROGRESSFUNCTION => fn (mixed $curl, int|float $size, int|float $received, int|float $all, int|float $sent): int =>
                $this->guarded(fn () => $this->report((int) $received, (int) $sent), 1),
        ]);
        curl_exec($this->curl);
        return $this->failure === null ? curl_errno($this->curl) : throw $this->failure;
    }

    public function answer(): Answer
    {
        $length = $this->headers['content-length'] ?? null;
        if ($this->written > 0 && $length !== null && (int) $length !== $this->written) {
            throw new FidfsException('incomplete', $this->status, "$this->written of $length bytes came.");
        }
        return new Answer($this->status, $this->headers, $this->body, $this->written);
    }

    /** Whether nothing was written to the target, so that the request may go to another server. */
    public function isUnanswered(): bool
    {
        return $this->written === 0;
    }

    private function takeHeader(string $line): int
    {
        if (preg_match('#^HTTP/[\d.]+ (\d{3})#', $line, $found) === 1) {
            // Also after a 100.
            $this->status = (int) $found[1];
            $this->headers = [];
        } elseif (str_contains($line, ':')) {
            [$name, $value] = explode(':', $line, 2);
            $this->headers[strtolower($name)] = trim($value);
        }
        return strlen($line);
    }

    private function takeBody(string $bytes): int
    {
        $target = $this->request->target;
        if ($target === null || $this->status !== 200) {
            $this->body .= $bytes;
            return strlen($this->body) <= self::BODY_LIMIT
                ? strlen($bytes)
                : throw new FidfsException('unknown', $this->status, 'The answer is too long.');
        }
        for ($from = 0; $from < strlen($bytes); $from += $written) {
            $written = @fwrite($target, substr($bytes, $from));
            if ($written === false || $written === 0) {
                throw new FidfsException('target', 0, 'What was received could not be written.');
            }
        }
        $this->written += strlen($bytes);
        return strlen($bytes);
    }

    /** Tells the progress function; returns 0, so that the transfer goes on. */
    private function report(int $received, int $sent): int
    {
        $progress = $this->request->progress;
        $isUpload = $this->request->body instanceof Source;
        $bytes = $isUpload ? $sent : $this->written;
        if ($progress === null || $bytes === $this->reported || ($bytes === 0 && !$isUpload)) {
            return 0;
        }
        $this->reported = $bytes;
        $length = $this->headers['content-length'] ?? null;
        if ($progress($bytes, $isUpload ? $this->request->size : ($length === null ? null : (int) $length)) === false) {
            throw new FidfsException('aborted', 0, 'The progress function has returned false.');
        }
        return 0;
    }

    /**
     * @template T
     * @param callable(): T $function
     * @param T $otherwise what is returned after an exception
     * @return T
     */
    private function guarded(callable $function, mixed $otherwise): mixed
    {
        try {
            return $this->failure === null ? $function() : $otherwise;
        } catch (\Throwable $error) {
            $this->failure = $error;
            return $otherwise;
        }
    }
}
