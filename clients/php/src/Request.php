<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * A request, for any of the servers.
 *
 * @internal
 */
final class Request
{
    /**
     * @param string $path with the query, from the server's address on
     * @param array<string, string> $headers
     * @param Source|string|null $body
     * @param int|null $size bytes of a Source that are sent; null if not known
     * @param bool $isRepeatable whether it may be sent again, to another server, after an answer 503 or a broken connection
     * @param resource|null $target stream to which the body of a 200 is written
     * @param (callable(int, int|null): mixed)|null $progress bytes so far and in all (null: not known); false aborts
     */
    public function __construct(
        public readonly string $method,
        public readonly string $path,
        public readonly array $headers = [],
        public readonly Source|string|null $body = null,
        public readonly ?int $size = null,
        public readonly bool $isRepeatable = true,
        public readonly mixed $target = null,
        public readonly mixed $progress = null,
    ) {
    }

    public static function json(string $method, string $path, mixed $body): self
    {
        return new self($method, $path, ['Content-Type' => 'application/json'], Encoding::json($body));
    }

    /** Lets its body be read from the beginning. */
    public function restart(): void
    {
        if ($this->body instanceof Source && $this->isRepeatable) {
            $this->body->from(0, $this->size);
        }
    }

    /** Whether it may be sent again. */
    public function canRepeat(): bool
    {
        return $this->isRepeatable && (!$this->body instanceof Source || $this->body->canRestart());
    }
}
