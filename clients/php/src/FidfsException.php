<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * What a node refused, or why none could be asked.
 *
 * `problem` is the name of a problem of fidfs (docs/problems.md), such as `wrong-key` or `unavailable`, or one of the client:
 * `no-connection` (no server answered), `aborted` (a progress function returned false), `source` (what should be sent could not
 * be read), `target` (what was received could not be written), `incomplete` (fewer or more bytes than announced came), `unknown` (an answer that is none of fidfs).
 */
final class FidfsException extends \RuntimeException
{
    /**
     * @param int $status HTTP status; 0 without an answer
     * @param int|null $retryAfter seconds after which the node asks to be asked again
     */
    public function __construct(
        public readonly string $problem,
        public readonly int $status,
        public readonly string $detail,
        public readonly ?int $retryAfter = null,
        ?\Throwable $previous = null,
    ) {
        parent::__construct('fidfs: ' . ($status === 0 ? '' : "$status ") . "$problem: $detail", $status, $previous);
    }

    /** @internal */
    public static function of(Answer $answer): self
    {
        $document = json_decode($answer->body, true);
        $document = is_array($document) ? $document : [];
        $type = $document['type'] ?? null;
        $isOurs = is_string($type) && str_starts_with($type, 'urn:fidfs:problem:');
        $problem = $isOurs ? substr($type, strlen('urn:fidfs:problem:')) : 'unknown';
        $detail = $document['detail'] ?? $document['title'] ?? null;
        return new self($problem, $answer->status, is_string($detail) ? $detail : 'no reason given', $answer->retryAfter());
    }
}
