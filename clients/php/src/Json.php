<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * A JSON object of an answer, whose members are read by type. A member of another type is a FidfsException (`unknown`).
 *
 * @internal
 */
final class Json
{
    /** @param array<array-key, mixed> $members */
    private function __construct(private readonly array $members)
    {
    }

    public static function parse(string $text): self
    {
        $value = json_decode($text, true);
        return is_array($value) ? new self($value) : throw self::unexpected('no JSON object');
    }

    public function text(string $name): string
    {
        return $this->textOrNull($name) ?? throw self::unexpected("no $name");
    }

    public function textOrNull(string $name): ?string
    {
        $value = $this->members[$name] ?? null;
        return $value === null || is_string($value) ? $value : throw self::unexpected("$name is no text");
    }

    public function number(string $name): int
    {
        return $this->numberOrNull($name) ?? throw self::unexpected("no $name");
    }

    public function numberOrNull(string $name): ?int
    {
        $value = $this->members[$name] ?? null;
        return $value === null || is_int($value) ? $value : throw self::unexpected("$name is no whole number");
    }

    public function time(string $name): \DateTimeImmutable
    {
        $text = $this->text($name);
        try {
            return new \DateTimeImmutable($text);
        } catch (\Exception) {
            throw self::unexpected("$name is no time");
        }
    }

    /** @return list<self> */
    public function objects(string $name): array
    {
        return array_map(
            fn (mixed $value) => is_array($value) ? new self($value) : throw self::unexpected("$name has no objects"),
            $this->values($name),
        );
    }

    /** @return list<mixed> */
    public function values(string $name): array
    {
        $value = $this->members[$name] ?? null;
        return is_array($value) ? array_values($value) : throw self::unexpected("no $name");
    }

    /** @return array<array-key, mixed> */
    public function members(): array
    {
        return $this->members;
    }

    private static function unexpected(string $what): FidfsException
    {
        return new FidfsException('unknown', 0, "The answer is none of fidfs: $what.");
    }
}
