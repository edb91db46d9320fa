import { existsSync } from 'node:fs';

/** Bundles of trusted certificates of the common Linux distributions. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
  '/etc/ssl/ca-bundle.pem',
];

/**
 * The file of trusted certificates by which nginx and the daemon verify peers: that of SSL_CERT_FILE (OpenSSL's own
 * variable), otherwise the system's. Undefined if there is none.
 */
export function trustedCertificates(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  return environment.SSL_CERT_FILE || BUNDLES.find((file) => existsSync(file));
}
