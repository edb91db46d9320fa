/** Mutations of the client for PHP and of its example; see mutations.mjs. */
const transport = 'clients/php/src/Transport.php';
const page = 'examples/php/public/index.php';
const client = ['clients/php-client'];
const example = ['clients/php-example'];

export const phpMutations = [
  {
    name: 'the next server gets the whole body',
    file: transport,
    from: '            $request->restart();\n        }\n        // What',
    to: '        }\n        // What',
    tests: client,
  },
  {
    name: 'after 503 the next server is asked',
    file: transport,
    from: 'private const AWAY = [502, 503, 504];',
    to: 'private const AWAY = [502];',
    tests: client,
  },
  {
    name: 'what cannot be read again is not sent again',
    file: transport,
    from: '$mayGoOn = !$error->wasSent || $request->canRepeat();',
    to: '$mayGoOn = true;',
    tests: client,
  },
  {
    name: 'an upload whose source ends too early ends at once',
    file: 'clients/php/src/Exchange.php',
    from: '$this->report((int) $received, (int) $sent), 1)',
    to: '$this->report((int) $received, (int) $sent), 0)',
    tests: client,
  },
  {
    name: 'a piece whose connection breaks is sent again',
    file: 'clients/php/src/ResumableUpload.php',
    from: '            $this->pause($attempt, $error);\n            return null;',
    to: '            throw $error;',
    tests: client,
  },
  {
    name: 'what is no ID makes no address',
    file: 'clients/php/src/Links.php',
    from: 'preg_match(self::ID, $id) === 1 ? $id',
    to: 'true ? $id',
    tests: client,
  },
  {
    name: 'a download takes the place of a file when it is whole',
    file: 'clients/php/src/Target.php',
    from: "$unfinished = dirname($to) . '/.fidfs-' . bin2hex(random_bytes(6)) . '.part';\n        $stream = stream_is_local($to) ? @fopen($unfinished, 'xb')",
    to: "$unfinished = $to;\n        $stream = stream_is_local($to) ? @fopen($unfinished, 'wb')",
    tests: client,
  },
  {
    name: 'names are escaped in the page',
    file: 'examples/php/page.php',
    from: '<?= html($name) ?></a>',
    to: '<?= $name ?></a>',
    tests: example,
  },
  {
    name: 'a form of another site is refused',
    file: page,
    from: "!hash_equals($_SESSION['csrf'], $token)",
    to: 'false',
    tests: example,
  },
  {
    name: 'only files of the gallery are deleted',
    file: page,
    from: '$gallery->has($id)',
    to: 'true',
    tests: example,
  },
];
