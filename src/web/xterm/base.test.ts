import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Disposable, DisposableStore, dispose, Emitter, Event, MutableDisposable, toDisposable } from './base.ts';

test('who listens hears events until that is disposed of, also while one is told', () => {
  const emitter = new Emitter<number>();
  const heard: string[] = [];
  const first = emitter.event((n) => {
    heard.push(`first ${n}`);
    second.dispose();
    emitter.event(() => heard.push('late'));
  });
  const second = emitter.event(() => heard.push('second'));
  emitter.fire(1);
  assert.deepEqual(heard, ['first 1']);
  first.dispose();
  emitter.fire(2);
  assert.deepEqual(heard, ['first 1', 'late']);
  emitter.dispose();
  emitter.fire(3);
  assert.equal(heard.length, 2);
});

test('a listener may have a `this`, and a place that ends it', () => {
  const emitter = new Emitter<number>();
  const sum = { of: 0 };
  const add = function (this: typeof sum, n: number): void {
    this.of += n;
  };
  const store = new DisposableStore();
  const list: { dispose(): void }[] = [];
  emitter.event(add, sum, store);
  emitter.event(add, sum, list);
  emitter.fire(1);
  store.dispose();
  emitter.fire(10);
  dispose(list);
  emitter.fire(100);
  assert.equal(sum.of, 12);
});

test('events are joined, forwarded, and told of at once', () => {
  const [one, two, both] = [new Emitter<number>(), new Emitter<number>(), new Emitter<number>()];
  const heard: (number | undefined)[] = [];
  const end = Event.any(one.event, two.event)((n) => heard.push(n));
  Event.forward(one.event, both);
  Event.runAndSubscribe(both.event, (n) => heard.push(n));
  one.fire(1);
  two.fire(2);
  end.dispose();
  two.fire(3);
  assert.deepEqual(heard, [undefined, 1, 1, 2]);
});

test('what is registered ends with its owner, once; what comes later ends at once', () => {
  class Owner extends Disposable {
    keep(name: string): void {
      this._register(toDisposable(() => ended.push(name)));
    }
  }
  const ended: string[] = [];
  const owner = new Owner();
  owner.keep('a');
  owner.keep('b');
  owner.dispose();
  owner.dispose();
  owner.keep('c');
  assert.deepEqual(ended, ['a', 'b', 'c']);
});

test('a value that is replaced is disposed of', () => {
  const ended: string[] = [];
  const value = (name: string): { dispose(): void } => toDisposable(() => ended.push(name));
  const holder = new MutableDisposable<{ dispose(): void }>();
  const first = value('first');
  holder.value = first;
  holder.value = first;
  assert.deepEqual(ended, []);
  holder.value = value('second');
  assert.deepEqual(ended, ['first']);
  holder.dispose();
  assert.equal(holder.value, undefined);
  holder.value = value('third');
  assert.deepEqual([holder.value, ended], [undefined, ['first', 'second', 'third']]);
});
