<?php

declare(strict_types=1);

return [
    // Addresses of the nodes, in the order in which they are asked.
    'servers' => array_map('trim', explode(',', (string) env('FIDFS_SERVERS', 'http://127.0.0.1:8080'))),

    // A key with the rights that the application needs.
    'key' => env('FIDFS_KEY', ''),

    // The address of links, if it is not the first server's.
    'public_url' => env('FIDFS_PUBLIC_URL'),

    // Signs the links of private files.
    'download_key' => env('FIDFS_DOWNLOAD_KEY'),

    // Seconds until a server counts as away, and seconds without any byte until a request is given up.
    'connect_timeout' => 3,
    'timeout' => 60,
];
