<?php

declare(strict_types=1);

/**
 * The page.
 *
 * @var Fidfs\Client $fidfs
 * @var Gallery $gallery
 * @var bool $isPrivate
 * @var string $message
 * @var string $preset
 */

/** Text as HTML: in elements, and in attributes with quotes. */
function html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** Whole links for an hour if the group is private, plain ones otherwise. */
$picture = fn (string $id): string => $isPrivate ? $fidfs->signedUrl($id, 3600, preset: $preset) : $fidfs->pictureUrl($preset, $id);
$link = fn (string $id, string $name): string => $isPrivate ? $fidfs->signedUrl($id, 3600, $name) : $fidfs->url($id, $name);
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Gallery</title>
<link rel="stylesheet" href="/style.css">
<h1>Gallery</h1>
<?php if ($message !== '') : ?>
<p role="status"><?= html($message) ?></p>
<?php endif ?>
<form method="post" enctype="multipart/form-data">
  <input type="hidden" name="csrf" value="<?= html($_SESSION['csrf']) ?>">
  <label>Pictures <input type="file" name="pictures[]" accept="image/jpeg,image/png,image/gif,image/webp" multiple required></label>
  <button>Upload</button>
</form>
<ul>
<?php foreach ($gallery->all() as $id => $name) : ?>
  <li>
    <img src="<?= html($picture($id)) ?>" alt="<?= html($name) ?>" loading="lazy" width="160" height="160">
    <a href="<?= html($link($id, $name)) ?>"><?= html($name) ?></a>
    <?php if ($isPrivate) : ?><small>link for an hour</small><?php endif ?>
    <form method="post">
      <input type="hidden" name="csrf" value="<?= html($_SESSION['csrf']) ?>">
      <button name="delete" value="<?= html($id) ?>">Delete</button>
    </form>
  </li>
<?php endforeach ?>
</ul>
</html>
