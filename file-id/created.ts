/**
 * The creation second of a name, read from its characters 5 to 11 alone. In a file of its own because every download
 * needs it, and njs runs all top-level code that a location imports anew for each request.
 */
export default function createdOf(name: string): number {
  return Buffer.from(name.substring(4, 12), 'base64url').readUInt32BE(1);
}
