/**
 * What xterm.js needs of the base library of VS Code, that it comes with: events, and things to be disposed of. The build puts this in its
 * place (`scripts/web-xterm.ts`), which is a tenth of its size.
 */

interface ToDispose {
  dispose(): void;
}

/** Calls `end` when it is disposed of, once. */
export function toDisposable(end: () => void): ToDispose {
  let isOver = false;
  return {
    dispose() {
      if (isOver) return;
      isOver = true;
      end();
    },
  };
}

export function dispose(things: ToDispose | Iterable<ToDispose>): void {
  if (Symbol.iterator in things) for (const thing of things) thing.dispose();
  else things.dispose();
}

export class DisposableStore {
  readonly #things = new Set<ToDispose>();
  isDisposed = false;

  add<T extends ToDispose>(thing: T): T {
    if (this.isDisposed) thing.dispose();
    else this.#things.add(thing);
    return thing;
  }
  clear(): void {
    const things = [...this.#things];
    this.#things.clear();
    dispose(things);
  }
  dispose(): void {
    this.isDisposed = true;
    this.clear();
  }
}

export class Disposable {
  readonly #store = new DisposableStore();

  dispose(): void {
    this.#store.dispose();
  }
  protected _register<T extends ToDispose>(thing: T): T {
    return this.#store.add(thing);
  }
}

/** Holds one thing, which is disposed of when another takes its place. */
export class MutableDisposable<T extends ToDispose> {
  #value: T | undefined;
  #isDisposed = false;

  get value(): T | undefined {
    return this.#value;
  }
  set value(value: T | undefined) {
    const old = this.#value;
    if (old === value) return;
    this.#value = this.#isDisposed ? undefined : value;
    if (this.#isDisposed) value?.dispose();
    old?.dispose();
  }
  clear(): void {
    this.value = undefined;
  }
  dispose(): void {
    this.clear();
    this.#isDisposed = true;
  }
}

type Listener<T> = (event: T) => unknown;
type Listen<T> = (listener: Listener<T>, self?: unknown, disposables?: DisposableStore | ToDispose[]) => ToDispose;

export class Emitter<T> {
  #listeners: readonly { readonly call: Listener<T> }[] = [];

  readonly event: Listen<T> = (listener, self, disposables) => {
    const entry = { call: (event: T) => listener.call(self, event) };
    this.#listeners = [...this.#listeners, entry];
    const end = toDisposable(() => {
      this.#listeners = this.#listeners.filter((other) => other !== entry);
    });
    if (Array.isArray(disposables)) disposables.push(end);
    else disposables?.add(end);
    return end;
  };
  /** Who listens from now on does not hear of it, nor does who stopped meanwhile. */
  fire(event: T): void {
    for (const entry of this.#listeners) if (this.#listeners.includes(entry)) entry.call(event);
  }
  dispose(): void {
    this.#listeners = [];
  }
}

export const Event = {
  forward: <T>(from: Listen<T>, to: Emitter<T>): ToDispose => from((event) => to.fire(event)),
  any:
    <T>(...events: readonly Listen<T>[]): Listen<T> =>
    (listener, self) => {
      const ends = events.map((event) => event(listener, self));
      return toDisposable(() => dispose(ends));
    },
  runAndSubscribe<T>(event: Listen<T>, listener: (event: T | undefined) => unknown): ToDispose {
    listener(undefined);
    return event(listener);
  },
};

export function addDisposableListener(
  target: EventTarget,
  type: string,
  listener: (event: never) => void,
  options?: boolean | AddEventListenerOptions,
): ToDispose {
  target.addEventListener(type, listener as EventListener, options);
  return toDisposable(() => target.removeEventListener(type, listener as EventListener, options));
}

export function scheduleAtNextAnimationFrame(window: Window, run: () => void): ToDispose {
  const frame = window.requestAnimationFrame(run);
  return toDisposable(() => window.cancelAnimationFrame(frame));
}
