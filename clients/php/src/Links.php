<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * Addresses of files, as docs/http.md has them.
 *
 * @internal
 */
final class Links
{
    /** A whole or a short ID: it makes no other address than that of a file. */
    private const ID = '#^(?:[A-Za-z0-9_-]{1,16}/)?(?:M[0-9A-F]{2}/)?(?:[0-9A-F]{2}/){2}[A-Za-z0-9_-]{27}[A-Za-z0-9._-]{1,60}$#D';
    private const WHOLE_ID = '#^[A-Za-z0-9_-]{1,16}/M[0-9A-F]{2}/#';

    /** @param string $base address without a slash at the end */
    public function __construct(private readonly string $base, private readonly string $downloadKey)
    {
    }

    /** @return array<string, mixed> what var_dump shows: no key */
    public function __debugInfo(): array
    {
        return ['base' => $this->base];
    }

    /** The ID; throws FidfsException (`bad-id`) if it cannot be one. */
    public static function checked(string $id): string
    {
        return preg_match(self::ID, $id) === 1 ? $id : throw new FidfsException('bad-id', 400, 'This is not the ID of a file.');
    }

    public function url(string $id, string $download): string
    {
        $query = $download === '' ? '' : '?download=' . rawurlencode($download);
        return "$this->base/" . self::checked($id) . $query;
    }

    public function picture(string $preset, string $id): string
    {
        return "$this->base/picture/" . self::preset($preset) . '/' . self::checked($id);
    }

    public function signed(string $id, int $seconds, string $download, string $preset): string
    {
        $path = $preset === '' ? $id : 'picture/' . self::preset($preset) . "/$id";
        return "$this->base/$path" . $this->query($id, $seconds, $download, $preset);
    }

    public function canSign(): bool
    {
        return $this->downloadKey !== '';
    }

    /** The query of a signed link, with `?`. */
    public function query(string $id, int $seconds, string $download = '', string $preset = ''): string
    {
        if (!$this->canSign()) {
            throw new \LogicException('Signed links need the option downloadKey.');
        }
        if (preg_match(self::WHOLE_ID, self::checked($id)) !== 1) {
            throw new FidfsException('bad-id', 400, 'A link is signed for a whole ID, with group and store path.');
        }
        if (str_contains($download, "\n")) {
            throw new \InvalidArgumentException('The name of a download has no line ends.');
        }
        $expires = time() + $seconds;
        $text = implode("\n", ['fidfs', $id, $expires, $download, $preset]);
        $signature = Encoding::base64url(hash_hmac('sha256', $text, $this->downloadKey, true));
        return "?expires=$expires&signature=$signature" . ($download === '' ? '' : '&download=' . rawurlencode($download));
    }

    private static function preset(string $preset): string
    {
        return preg_match('/^[A-Za-z0-9_-]+$/D', $preset) === 1
            ? $preset
            : throw new \InvalidArgumentException('This is not the name of a preset.');
    }
}
