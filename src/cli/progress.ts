/** A line on stderr for a person who waits longer than a second for the guest's first sign of life. */
import process from 'node:process';

const FIRST_MS = 1000;
const EVERY_MS = 500;
const CLEAR_LINE = '\r\x1b[K';

/** Shows `describe()` until the result is called. Silent where nobody watches. */
export function showProgress(describe: () => string): () => void {
  if (process.stderr.isTTY !== true) return () => {};
  let shown = false;
  const started = Date.now();
  const timer = setInterval(() => {
    if (Date.now() - started < FIRST_MS) return;
    shown = true;
    process.stderr.write(`${CLEAR_LINE}trapeze: ${describe()}`);
  }, EVERY_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    if (shown) process.stderr.write(CLEAR_LINE);
    shown = false;
  };
}
