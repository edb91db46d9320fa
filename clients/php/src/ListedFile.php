<?php

declare(strict_types=1);

namespace Fidfs;

/** A file as a list or a stat has it. */
final class ListedFile
{
    /**
     * @param string $kind `normal`, `slave`, `appender` or `trunk`
     * @param int $size bytes
     * @param string|null $sha256 64 hex digits; null for a file of FastDFS that is not adopted
     * @param string|null $crc32 8 hex digits; null if the ID does not contain it
     * @param int|string|null $source server id of the node that took the file, or its address for some files of FastDFS
     */
    public function __construct(
        public readonly string $id,
        public readonly string $kind,
        public readonly int $size,
        public readonly \DateTimeImmutable $created,
        public readonly ?string $sha256,
        public readonly ?string $crc32,
        public readonly string $ext,
        public readonly int|string|null $source,
    ) {
    }

    /** @internal */
    public static function of(Json $file): self
    {
        $source = $file->members()['source'] ?? null;
        return new self(
            $file->text('id'),
            $file->text('kind'),
            $file->number('size'),
            $file->time('created'),
            $file->textOrNull('sha256'),
            $file->textOrNull('crc32'),
            $file->text('ext'),
            is_int($source) || is_string($source) ? $source : null,
        );
    }
}
