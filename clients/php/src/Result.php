<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * The result for one of many IDs. `status` is `deleted`, `accepted` (deleted, but durable on only `copies` of the `wanted` nodes so far), `stored`
 * (with `file`), `not-found`, or the name of a problem (docs/problems.md) with its `detail`.
 */
final class Result
{
    public function __construct(
        public readonly string $id,
        public readonly string $status,
        public readonly ?string $detail = null,
        public readonly ?int $copies = null,
        public readonly ?int $wanted = null,
        public readonly ?ListedFile $file = null,
    ) {
    }

    /**
     * @internal
     * @param string $id as the caller wrote it
     */
    public static function of(string $id, Json $result): self
    {
        $status = $result->text('status');
        return new self(
            $id,
            $status,
            $result->textOrNull('detail'),
            $result->numberOrNull('copies'),
            $result->numberOrNull('wanted'),
            $status === 'stored' ? ListedFile::of($result) : null,
        );
    }

    /** Whether the file is not there any more, or never was. */
    public function isGone(): bool
    {
        return in_array($this->status, ['deleted', 'accepted', 'not-found'], true);
    }
}
