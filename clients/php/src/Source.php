<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * The bytes of an upload, from a stream's position to its end.
 *
 * @internal
 */
final class Source
{
    /** Bytes from the position on; null if not known. */
    public readonly ?int $size;
    private readonly int $start;
    private readonly bool $isSeekable;
    private bool $isUntouched = true;
    /** Bytes that may still be read; null: to the end. */
    private ?int $remaining;
    /** Whether those bytes are the last ones. */
    private bool $isToEnd = true;

    /**
     * @param resource $stream
     * @param string $name the name whose extension counts
     */
    private function __construct(private $stream, public readonly string $name)
    {
        $this->isSeekable = stream_get_meta_data($stream)['seekable'];
        $position = $this->isSeekable ? ftell($stream) : 0;
        $this->start = $position === false ? 0 : $position;
        $facts = $this->isSeekable ? fstat($stream) : false;
        $this->size = $facts === false ? null : max(0, $facts['size'] - $this->start);
        $this->remaining = $this->size;
    }

    /** A file on this machine. */
    public static function ofPath(string $path): self
    {
        // The exception says what PHP would warn of. Addresses such as http://… are no paths: what they lead to is not the caller's file.
        $stream = stream_is_local($path) && is_file($path) ? @fopen($path, 'rb') : false;
        if ($stream === false) {
            throw new FidfsException('source', 0, "There is no readable file $path.");
        }
        return new self($stream, basename($path));
    }

    public static function ofStream(mixed $stream): self
    {
        if (!is_resource($stream) || get_resource_type($stream) !== 'stream') {
            throw new \InvalidArgumentException('This is no open stream.');
        }
        return new self($stream, '');
    }

    public static function ofString(string $content): self
    {
        $stream = fopen('php://memory', 'w+b');
        if ($stream === false || fwrite($stream, $content) !== strlen($content) || !rewind($stream)) {
            throw new FidfsException('source', 0, 'There is not enough memory.');
        }
        return new self($stream, '');
    }

    /** Whether all of it can be read, for the first time or again. */
    public function canRestart(): bool
    {
        return $this->isSeekable || $this->isUntouched;
    }

    public function isSeekable(): bool
    {
        return $this->isSeekable;
    }

    /** Lets `length` bytes (null: all) be read from an offset on. */
    public function from(int $offset, ?int $length = null): void
    {
        if ($this->isSeekable ? fseek($this->stream, $this->start + $offset) !== 0 : !$this->isUntouched || $offset > 0) {
            throw self::unreadable();
        }
        $this->isToEnd = $length === null || $offset + $length === $this->size;
        $this->remaining = $length ?? ($this->size === null ? null : $this->size - $offset);
    }

    /** Up to `length` bytes; '' at the end. Throws if the stream ends too early, or has more bytes: a filter may make other ones of a file. */
    public function read(int $length): string
    {
        $wanted = $this->remaining === null ? $length : min($length, $this->remaining);
        if ($wanted < 1) {
            return '';
        }
        $this->isUntouched = false;
        $bytes = fread($this->stream, $wanted);
        if ($bytes === false || ($bytes === '' && ($this->remaining !== null || !feof($this->stream)))) {
            throw self::unreadable();
        }
        if ($this->remaining !== null) {
            $this->remaining -= strlen($bytes);
            if ($this->remaining === 0 && $this->isToEnd && !in_array(fread($this->stream, 1), ['', false], true)) {
                throw new FidfsException('source', 0, 'The stream has more bytes than its length says. Pass a filtered one by a pipe or as a string.');
            }
        }
        return $bytes;
    }

    /** Adds the bytes that may be read to a hash. */
    public function hash(\HashContext $hash): void
    {
        while (($bytes = $this->read(2 ** 18)) !== '') {
            hash_update($hash, $bytes);
        }
    }

    private static function unreadable(): FidfsException
    {
        return new FidfsException('source', 0, 'The stream ended too early, or cannot be read from there.');
    }
}
