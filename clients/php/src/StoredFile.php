<?php

declare(strict_types=1);

namespace Fidfs;

/** A file that was just stored. After a resumable upload only `id`, `url` and `size` are known. */
final class StoredFile
{
    /**
     * @param int $size bytes
     * @param string|null $crc32 8 hex digits
     * @param string|null $sha256 64 hex digits
     * @param int|null $copies nodes on which the file was durable when the node answered
     */
    public function __construct(
        public readonly string $id,
        public readonly string $url,
        public readonly int $size,
        public readonly ?string $crc32 = null,
        public readonly ?string $sha256 = null,
        public readonly ?\DateTimeImmutable $created = null,
        public readonly ?int $copies = null,
    ) {
    }

    /**
     * The one file of the answer to an upload.
     *
     * @internal
     */
    public static function in(Answer $answer): self
    {
        $file = $answer->expect(201)->json()->objects('files')[0] ?? throw new FidfsException('unknown', 201, 'There is no file.');
        return self::of($file);
    }

    private static function of(Json $file): self
    {
        return new self(
            $file->text('id'),
            $file->text('url'),
            $file->number('size'),
            $file->text('crc32'),
            $file->text('sha256'),
            $file->time('created'),
            $file->number('copies'),
        );
    }
}
