<?php

declare(strict_types=1);

namespace Fidfs\Tests;

use Fidfs\Client;
use Fidfs\Laravel\Fidfs;
use Fidfs\Laravel\FidfsServiceProvider;
use Illuminate\Config\Repository;
use Illuminate\Container\Container;
use Illuminate\Support\Facades\Facade;
use Illuminate\Support\ServiceProvider;
use PHPUnit\Framework\TestCase;

/** The service provider with Laravel's own container, configuration and facades; the application is a stand-in. */
final class LaravelTest extends TestCase
{
    public function testTheProviderMakesTheClientOfTheConfiguration(): void
    {
        $app = new class extends Container {
            public function runningInConsole(): bool
            {
                return true;
            }

            public function configPath(string $path): string
            {
                return "/app/config/$path";
            }

            public function configurationIsCached(): bool
            {
                return false;
            }
        };
        $id = 'group1/M00/00/00/AQAAAGsCqhmAO3ipAAST4HsUpnM370.jpg';
        $repository = new Repository(['fidfs' => ['servers' => ['http://10.0.0.1:8080', 'http://10.0.0.2:8080'], 'download_key' => 'download-key-0123456789']]);
        $app->instance('config', $repository);
        $app->alias('config', \Illuminate\Contracts\Config\Repository::class);
        $provider = new FidfsServiceProvider($app);
        $provider->register();
        $provider->boot();
        $client = $app->make(Client::class);
        self::assertSame($client, $app->make(Client::class));
        self::assertSame("http://10.0.0.1:8080/$id", $client->url($id));
        self::assertStringContainsString('&signature=', $client->signedUrl($id));
        self::assertSame(60, $repository->get('fidfs.timeout'), 'the rest is of the package');
        self::assertSame(['/app/config/fidfs.php'], array_values(ServiceProvider::pathsToPublish(FidfsServiceProvider::class, 'fidfs-config')));
        Facade::setFacadeApplication($app);
        self::assertSame($client->url($id), Fidfs::url($id));
        $composer = json_decode((string) file_get_contents(__DIR__ . '/../composer.json'), true);
        self::assertSame([FidfsServiceProvider::class], $composer['extra']['laravel']['providers']);
        self::assertSame(['Fidfs' => Fidfs::class], $composer['extra']['laravel']['aliases']);
    }
}
