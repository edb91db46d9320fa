<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * The answer of a node.
 *
 * @internal
 */
final class Answer
{
    /**
     * @param array<string, string> $headers by lower-case names
     * @param int $written bytes of the body that were written to the target of the request
     */
    public function __construct(
        public readonly int $status,
        public readonly array $headers,
        public readonly string $body,
        public readonly int $written,
    ) {
    }

    public function retryAfter(): ?int
    {
        $value = $this->headers['retry-after'] ?? '';
        return preg_match('/^\d{1,9}$/D', $value) === 1 ? (int) $value : null;
    }

    /** Throws unless the status is one of these. */
    public function expect(int ...$statuses): self
    {
        return in_array($this->status, $statuses, true) ? $this : throw FidfsException::of($this);
    }

    /** The body as a JSON object. */
    public function json(): Json
    {
        return Json::parse($this->body);
    }
}
