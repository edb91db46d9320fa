/**
 * The creation second, from the 8 characters 5 to 12 of a name. In a file of its own because njs runs all top-level code
 * that a location imports anew for each request, and downloads need no more of the codec.
 */
export default function createdOf(characters: string): number {
  return Buffer.from(characters, 'base64url').readUInt32BE(1);
}
