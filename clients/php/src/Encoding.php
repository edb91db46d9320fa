<?php

declare(strict_types=1);

namespace Fidfs;

/** @internal */
final class Encoding
{
    /** Base64 with `-` and `_`, without padding. */
    public static function base64url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    /** JSON, in which bytes that are not UTF-8 become U+FFFD. */
    public static function json(mixed $value): string
    {
        return json_encode($value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
    }

    /**
     * A JWT with HS256.
     *
     * @param string $keyName '' for none
     * @param array<string, mixed> $claims
     */
    public static function jwt(string $keyName, array $claims, #[\SensitiveParameter] string $secret): string
    {
        $header = ['alg' => 'HS256', 'typ' => 'JWT'] + ($keyName === '' ? [] : ['kid' => $keyName]);
        $text = self::base64url(self::json($header)) . '.' . self::base64url(self::json($claims));
        return $text . '.' . self::base64url(hash_hmac('sha256', $text, $secret, true));
    }

    /** @param array<string, string|int|null> $parameters those that are null are left out */
    public static function query(array $parameters): string
    {
        $query = http_build_query($parameters, '', '&', PHP_QUERY_RFC3986);
        return $query === '' ? '' : "?$query";
    }
}
