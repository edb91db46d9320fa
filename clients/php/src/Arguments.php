<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * Checks and conversions of what callers pass. Throws InvalidArgumentException.
 *
 * @internal
 */
final class Arguments
{
    /** The address of a server without a slash at the end. */
    public static function address(string $server): string
    {
        $address = rtrim($server, '/');
        return preg_match('#^https?://[^/\s?\#@]+(?:/[^\s?\#]*)?$#Di', $address) === 1
            ? $address
            : throw new \InvalidArgumentException('A server is an address such as http://127.0.0.1:8080.');
    }

    /** The end of a name, because only the extension counts. */
    public static function short(string $name): string
    {
        return strlen($name) > 200 ? substr($name, -200) : $name;
    }

    /** The extension that an upload of this name gets; '' for none. */
    public static function extension(string $name): string
    {
        return preg_match('/.\.(tar\.gz|[A-Za-z0-9]{1,6})$/Ds', $name, $found) === 1 ? $found[1] : '';
    }

    /** @param array<array-key, mixed> $options */
    public static function assertOptions(array $options, string ...$names): void
    {
        $unknown = array_diff(array_map(strval(...), array_keys($options)), $names);
        if ($unknown !== []) {
            throw new \InvalidArgumentException('There is no option ' . implode(', ', $unknown) . '; there are ' . implode(', ', $names) . '.');
        }
    }
}
