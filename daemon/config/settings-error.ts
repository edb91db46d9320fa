/** A wrong setting or an unreadable file. The message is for the user who starts fidfs, one line per mistake. */
export class SettingsError extends Error {
  override name = 'SettingsError';
}
