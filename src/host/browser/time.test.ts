import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { browserTime } from './time.ts';

test('short timers are set behind a turn of the event loop, and can be cancelled before and after it', async (t) => {
  const ports: MessagePort[] = [];
  const { MessageChannel: Original } = globalThis;
  mock.property(
    globalThis,
    'MessageChannel',
    class extends Original {
      constructor() {
        super();
        ports.push(this.port1 as MessagePort);
      }
    },
  );
  const set = mock.method(globalThis, 'setTimeout');
  t.after(() => {
    mock.restoreAll();
    for (const port of ports) port.close();
  });
  const time = browserTime(() => undefined);
  const rung: string[] = [];
  time.setTimer(1, () => rung.push('at once'))();
  const late = time.setTimer(1, () => rung.push('late'));
  const rings = new Promise<void>((resolve) => time.setTimer(1, resolve));
  assert.equal(set.mock.callCount(), 0);
  await time.breathe();
  assert.equal(set.mock.callCount(), 2);
  late();
  time.setTimer(1000, () => rung.push('long'))();
  assert.equal(set.mock.callCount(), 3);
  await rings;
  assert.deepEqual(rung, []);
});
