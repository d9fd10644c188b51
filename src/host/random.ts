/** Randomness by the Web Cryptography API, which Node and browsers have. */

/** `getRandomValues` refuses more at once (Web Cryptography API §10.1.1). */
const QUOTA = 65_536;

/** Fills `bytes`, which may lie in any memory, with randomness fit for keys. */
export function randomFill(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += QUOTA) {
    const part = new Uint8Array(Math.min(QUOTA, bytes.length - at));
    bytes.set(crypto.getRandomValues(part), at);
  }
}
