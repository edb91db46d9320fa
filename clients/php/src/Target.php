<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * Where a download is written: the caller's stream, or a new file beside the path, which takes its place when it is complete.
 *
 * @internal
 */
final class Target
{
    private ?string $unfinished;

    /** @param resource $stream */
    private function __construct(public readonly mixed $stream, private readonly string $path, ?string $unfinished)
    {
        $this->unfinished = $unfinished;
    }

    public static function of(mixed $to): self
    {
        if (is_resource($to) && get_resource_type($to) === 'stream') {
            return new self($to, '', null);
        }
        if (!is_string($to)) {
            throw new \InvalidArgumentException('This is no path and no open stream.');
        }
        // Not the name and more: that may be longer than a name can be.
        $unfinished = dirname($to) . '/.fidfs-' . bin2hex(random_bytes(6)) . '.part';
        $stream = stream_is_local($to) ? @fopen($unfinished, 'xb') : false;
        return $stream === false
            ? throw new FidfsException('target', 0, "No file can be made at $to.")
            : new self($stream, $to, $unfinished);
    }

    /** Lets the file take its place. */
    public function keep(): void
    {
        if ($this->unfinished === null) {
            return;
        }
        if (!fflush($this->stream) || !@rename($this->unfinished, $this->path)) {
            throw new FidfsException('target', 0, "The file cannot be put at $this->path.");
        }
        $this->unfinished = null;
    }

    /** Closes what was opened here; removes a file that is not complete. */
    public function close(): void
    {
        if ($this->path !== '') {
            fclose($this->stream);
        }
        if ($this->unfinished !== null) {
            @unlink($this->unfinished);
        }
    }
}
