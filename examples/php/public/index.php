<?php

declare(strict_types=1);

// The page: shows the gallery, takes uploads and deletions. Only this directory, public, is served.

require __DIR__ . '/../gallery.php';
require __DIR__ . '/../../../clients/php/autoload.php'; // with Composer: vendor/autoload.php

const TYPES = [IMAGETYPE_JPEG => 'jpg', IMAGETYPE_PNG => 'png', IMAGETYPE_GIF => 'gif', IMAGETYPE_WEBP => 'webp'];

$isPrivate = (string) getenv('FIDFS_DOWNLOAD_KEY') !== '';
$servers = explode(',', getenv('FIDFS_SERVERS') ?: 'http://127.0.0.1:8080');
$publicUrl = getenv('FIDFS_PUBLIC_URL') ?: $servers[0];
$fidfs = new Fidfs\Client(
    $servers,
    (string) getenv('FIDFS_KEY'),
    ['publicUrl' => $publicUrl, 'downloadKey' => getenv('FIDFS_DOWNLOAD_KEY') ?: null],
);
$gallery = new Gallery(getenv('GALLERY_FILE') ?: __DIR__ . '/../gallery.json');

session_start([
    'cookie_httponly' => true,
    'cookie_samesite' => 'Lax',
    'cookie_secure' => ($_SERVER['HTTPS'] ?? 'off') !== 'off',
    'use_strict_mode' => true,
]);
$_SESSION['csrf'] ??= bin2hex(random_bytes(32));

/** Ends the request by showing the page again, with a message. */
function back(string $message): never
{
    $_SESSION['message'] = $message;
    header('Location: /', true, 303);
    exit;
}

/** Stores one picture that the browser has sent; returns what is wrong with it, or ''. */
function store(Fidfs\Client $fidfs, Gallery $gallery, string $path, string $name, int $error): string
{
    if ($error !== UPLOAD_ERR_OK || !is_uploaded_file($path)) {
        return "$name was not received; it may be too large.";
    }
    // The type comes from the content, not from the name or the media type, which the sender has chosen.
    $type = @getimagesize($path)[2] ?? null;
    if (!isset(TYPES[$type])) {
        return "$name is no JPEG, PNG, GIF or WebP.";
    }
    $options = ['ext' => TYPES[$type]];
    $file = $fidfs->uploadKnown($path, $options) ?? $fidfs->upload($path, $options);
    $gallery->add($file->id, $name);
    return '';
}

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $token = $_POST['csrf'] ?? null;
    if (!is_string($token) || !hash_equals($_SESSION['csrf'], $token)) {
        // PHP drops all fields of a form that is larger than post_max_size.
        $isTooLarge = $_POST === [] && (int) ($_SERVER['CONTENT_LENGTH'] ?? 0) > 0;
        http_response_code($isTooLarge ? 413 : 403);
        exit($isTooLarge ? 'The files are too large.' : 'Reload the page, and try again.');
    }
    try {
        $id = $_POST['delete'] ?? null;
        if (is_string($id)) {
            // Only what is in the gallery: the key permits more than the visitors of this page may do.
            if ($gallery->has($id)) {
                $fidfs->delete($id);
                $gallery->remove($id);
            }
            back('Deleted.');
        }
        $sent = $_FILES['pictures'] ?? ['tmp_name' => [], 'name' => [], 'error' => []];
        $faults = [];
        foreach ((array) $sent['tmp_name'] as $index => $path) {
            $name = ((array) $sent['name'])[$index];
            $error = ((array) $sent['error'])[$index];
            // Other forms than that of this page make deeper arrays.
            $faults[] = is_string($path) && is_string($name) ? store($fidfs, $gallery, $path, $name, $error) : 'This is another form.';
        }
        back(implode(' ', array_filter($faults)) ?: 'Stored.');
    } catch (Fidfs\FidfsException $error) {
        // The reason is for the log; it may name groups and nodes.
        error_log($error->getMessage());
        back($error->status === 503 || $error->status === 0 ? 'Not available now. Try again later.' : 'This was refused.');
    }
}

$message = $_SESSION['message'] ?? '';
unset($_SESSION['message']);
$preset = getenv('FIDFS_PRESET') ?: 'console';
$origin = preg_replace('#^(https?://[^/]+).*#', '$1', $publicUrl);
header("Content-Security-Policy: default-src 'none'; style-src 'self'; img-src $origin; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
header('Referrer-Policy: no-referrer');
header('X-Content-Type-Options: nosniff');
require __DIR__ . '/../page.php';
