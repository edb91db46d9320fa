<?php

declare(strict_types=1);

/**
 * The pictures of the gallery: a JSON file of names by IDs. An application has a table in its database for this.
 */
final class Gallery
{
    public function __construct(private readonly string $path)
    {
    }

    /** @return array<string, string> names by IDs, the newest first */
    public function all(): array
    {
        return array_reverse($this->change(fn (array $pictures) => $pictures));
    }

    public function has(string $id): bool
    {
        return isset($this->all()[$id]);
    }

    public function add(string $id, string $name): void
    {
        $this->change(fn (array $pictures) => $pictures + [$id => substr($name, 0, 200)]);
    }

    public function remove(string $id): void
    {
        $this->change(fn (array $pictures) => array_diff_key($pictures, [$id => '']));
    }

    /**
     * @param callable(array<string, string>): array<string, string> $change
     * @return array<string, string>
     */
    private function change(callable $change): array
    {
        $file = fopen($this->path, 'c+') ?: throw new RuntimeException("$this->path cannot be opened");
        flock($file, LOCK_EX);
        $before = json_decode((string) stream_get_contents($file), true) ?: [];
        $after = $change($before);
        if ($after !== $before) {
            ftruncate($file, 0);
            rewind($file);
            fwrite($file, json_encode($after, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR));
        }
        fclose($file);
        return $after;
    }
}
