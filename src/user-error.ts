/** A mistake of the person who runs Trapeze: one line that says what is wrong and names the fix. */
export class UserError extends Error {
  override readonly name = 'UserError';
}
