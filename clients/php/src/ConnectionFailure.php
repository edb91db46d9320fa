<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * A server did not answer.
 *
 * @internal
 */
final class ConnectionFailure extends \RuntimeException
{
    /** @param bool $wasSent whether the server may have got something of the request */
    public function __construct(string $message, public readonly bool $wasSent)
    {
        parent::__construct($message);
    }
}
