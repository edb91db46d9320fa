import { existsSync } from 'node:fs';

/** Where the systems keep the certificates that they trust. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
  '/etc/ssl/ca-bundle.pem',
];

/**
 * The file of certificates that peers' certificates are checked against, by nginx and by the daemon alike: that of
 * SSL_CERT_FILE (OpenSSL's own variable), else the system's. Undefined when there is none.
 */
export function trustedCertificates(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  return environment.SSL_CERT_FILE || BUNDLES.find((file) => existsSync(file));
}
