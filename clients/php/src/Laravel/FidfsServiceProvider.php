<?php

declare(strict_types=1);

namespace Fidfs\Laravel;

use Fidfs\Client;
use Illuminate\Contracts\Config\Repository;
use Illuminate\Contracts\Container\Container;
use Illuminate\Support\ServiceProvider;

/** Binds the client, made of the configuration `fidfs`, as a singleton. */
final class FidfsServiceProvider extends ServiceProvider
{
    private const CONFIGURATION = __DIR__ . '/../../config/fidfs.php';

    public function register(): void
    {
        $this->mergeConfigFrom(self::CONFIGURATION, 'fidfs');
        $this->app->singleton(Client::class, static function (Container $app): Client {
            $repository = $app->make(Repository::class);
            return self::client($repository->get('fidfs'));
        });
    }

    public function boot(): void
    {
        if ($this->app->runningInConsole()) {
            $this->publishes([self::CONFIGURATION => $this->app->configPath('fidfs.php')], 'fidfs-config');
        }
    }

    private static function client(mixed $settings): Client
    {
        $settings = is_array($settings) ? $settings : [];
        $servers = $settings['servers'] ?? [];
        $timeout = $settings['timeout'] ?? null;
        return new Client(
            array_values(array_filter(is_array($servers) ? $servers : [$servers], is_string(...))),
            self::text($settings, 'key') ?? '',
            [
                'publicUrl' => self::text($settings, 'public_url'),
                'downloadKey' => self::text($settings, 'download_key'),
                'connectTimeout' => is_numeric($settings['connect_timeout'] ?? null) ? (float) $settings['connect_timeout'] : 3,
                'timeout' => is_numeric($timeout) ? (int) $timeout : 60,
            ],
        );
    }

    /** @param array<array-key, mixed> $settings */
    private static function text(array $settings, string $name): ?string
    {
        $value = $settings[$name] ?? null;
        return is_string($value) && $value !== '' ? $value : null;
    }
}
