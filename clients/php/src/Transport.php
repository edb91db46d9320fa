<?php

declare(strict_types=1);

namespace Fidfs;

/**
 * Sends requests by curl to the first server that can answer. A server that cannot be reached, or answers 503, is left for the next
 * one, and the last one that answered is asked first from then on.
 *
 * @internal
 */
final class Transport
{
    /** What curl says of a connection that the server has closed; 65 is CURLE_SEND_FAIL_REWIND, which PHP does not name. */
    private const CLOSED = [CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, 65];
    /** Statuses of nodes, and of proxies before them, that cannot answer now. */
    private const AWAY = [502, 503, 504];
    private int $current = 0;
    private ?\CurlHandle $idle = null;

    /**
     * @param non-empty-list<string> $servers addresses without a slash at the end
     * @param float $connectTimeout seconds
     * @param int $timeout seconds without a byte after which a connection is given up
     */
    public function __construct(
        private readonly array $servers,
        private readonly string $key,
        private readonly float $connectTimeout,
        private readonly int $timeout,
    ) {
    }

    /** @return array<string, mixed> what var_dump shows: no key */
    public function __debugInfo(): array
    {
        return ['servers' => $this->servers];
    }

    /** Returns the answer, whatever its status. Throws if no server answered. */
    public function send(Request $request): Answer
    {
        $last = null;
        $failure = null;
        foreach ($this->servers as $ignored) {
            try {
                $last = $this->sendTo($this->servers[$this->current], $request);
                if (!in_array($last->status, self::AWAY, true)) {
                    return $last;
                }
                $mayGoOn = $request->canRepeat();
            } catch (ConnectionFailure $error) {
                $failure = $error;
                $mayGoOn = !$error->wasSent || $request->canRepeat();
            }
            $this->current = ($this->current + 1) % count($this->servers);
            if (!$mayGoOn) {
                break;
            }
            $request->restart();
        }
        // What a server says tells more than that another one does not answer.
        return $last ?? throw new FidfsException('no-connection', 0, $failure?->getMessage() ?? 'There is no server.', null, $failure);
    }

    private function sendTo(string $server, Request $request): Answer
    {
        $curl = $this->idle ?? curl_init();
        $this->idle = null;
        if ($curl === false) {
            throw new FidfsException('no-connection', 0, 'curl cannot be used.');
        }
        try {
            $exchange = new Exchange($curl, $request);
            $code = $exchange->run($this->options($server, $request));
            // A kept connection may have been closed by the server just now.
            $isKept = curl_getinfo($curl, CURLINFO_NUM_CONNECTS) === 0;
            if ($isKept && in_array($code, self::CLOSED, true) && $exchange->isUnanswered() && $request->canRepeat()) {
                $request->restart();
                $exchange = new Exchange($curl, $request);
                $code = $exchange->run([CURLOPT_FRESH_CONNECT => true] + $this->options($server, $request));
            }
            if ($code === CURLE_OK) {
                return $exchange->answer();
            }
            if (!$exchange->isUnanswered()) {
                throw new FidfsException('incomplete', 0, curl_error($curl));
            }
            throw new ConnectionFailure(curl_error($curl), curl_getinfo($curl, CURLINFO_REQUEST_SIZE) > 0);
        } finally {
            curl_reset($curl);
            $this->idle = $curl;
        }
    }

    /** @return array<int, mixed> */
    private function options(string $server, Request $request): array
    {
        $headers = ['Accept' => 'application/json'] + $request->headers;
        if ($this->key !== '') {
            $headers['Authorization'] = "Bearer $this->key";
        }
        return [
            CURLOPT_URL => $server . $request->path,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_HTTPHEADER => array_map(fn (string $name) => "$name: $headers[$name]", array_keys($headers)),
            CURLOPT_CONNECTTIMEOUT_MS => max(1, (int) ($this->connectTimeout * 1000)),
            CURLOPT_LOW_SPEED_LIMIT => 1,
            CURLOPT_LOW_SPEED_TIME => $this->timeout,
            CURLOPT_NOSIGNAL => true,
        ];
    }
}
