<?php

declare(strict_types=1);

require __DIR__ . '/../autoload.php';

// Laravel's components as Debian installs them, or as Composer does.
foreach (['Support', 'Config', 'Container'] as $component) {
    $file = "Illuminate/$component/autoload.php";
    if (stream_resolve_include_path($file) !== false) {
        require_once $file;
    }
}
if (is_file(__DIR__ . '/../vendor/autoload.php')) {
    require __DIR__ . '/../vendor/autoload.php';
}
