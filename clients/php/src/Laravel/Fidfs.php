<?php

declare(strict_types=1);

namespace Fidfs\Laravel;

use Fidfs\Client;
use Illuminate\Support\Facades\Facade;

/**
 * The client as a facade: `Fidfs::upload($path)`.
 *
 * @mixin Client
 */
final class Fidfs extends Facade
{
    protected static function getFacadeAccessor(): string
    {
        return Client::class;
    }
}
