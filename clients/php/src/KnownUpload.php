<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * An upload of a file whose content is already there: its possession is proven, and nothing is sent (docs/http.md).
 *
 * @internal
 */
final class KnownUpload
{
    public function __construct(private readonly Transport $transport, private readonly Source $source)
    {
    }

    /** Null says that the file has to be sent. */
    public function run(string $ext): ?StoredFile
    {
        $hash = hash_init('sha256');
        $this->source->hash($hash);
        $challenge = $this->ask(['sha256' => hash_final($hash), 'size' => $this->source->size, 'ext' => $ext]);
        if ($challenge->status === 404) {
            return null;
        }
        $challenge = $challenge->expect(200)->json();
        $proof = hash_init('sha256');
        $nonce = $challenge->text('nonce');
        hash_update($proof, $nonce);
        foreach ($challenge->values('ranges') as $range) {
            if (!is_array($range) || !is_int($range[0] ?? null) || !is_int($range[1] ?? null)) {
                throw new FidfsException('unknown', 200, 'The challenge has other ranges.');
            }
            $this->source->from($range[0], $range[1]);
            $this->source->hash($proof);
        }
        $answer = $this->ask(['nonce' => $nonce, 'proof' => hash_final($proof)]);
        // The challenge is one server's, and the file may have been changed or deleted in the meantime.
        $isToBeSent = $answer->status === 404 || ($answer->status === 403 && FidfsException::of($answer)->problem === 'wrong-proof');
        return $isToBeSent ? null : StoredFile::in($answer);
    }

    /** @param array<string, mixed> $body */
    private function ask(array $body): Answer
    {
        return $this->transport->send(Request::json('POST', '/upload/known', $body));
    }
}
