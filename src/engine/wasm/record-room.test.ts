import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RECORDS_END } from '../layout.ts';
import { RecordRoom } from './record-room.ts';

const BLOCK = 0x1000;

/** Takes blocks until there is no room; returns where they start. */
function fill(room: RecordRoom): number[] {
  const starts: number[] = [];
  while (room.reserve(BLOCK)) {
    starts.push(room.next);
    room.next += BLOCK;
  }
  return starts;
}

test('what is given back is used again once it was gathered, and nothing else', () => {
  const room = new RecordRoom();
  const blocks = fill(room);
  assert(blocks.length > 1000 && blocks.at(-1)! + BLOCK <= RECORDS_END);
  const [kept, freed] = [blocks.slice(0, 500), blocks.slice(500)];
  for (const at of freed.toReversed()) room.free([at, at + BLOCK]);
  assert(!room.reserve(BLOCK));
  assert(room.gather());
  const again = fill(room);
  assert.deepEqual(
    again.toSorted((a, b) => a - b),
    freed,
  );
  assert(again.every((at) => !kept.includes(at)));
});

test('a little is not worth gathering, and small gaps wait for their neighbours', () => {
  const room = new RecordRoom();
  const blocks = fill(room);
  for (const [i, at] of blocks.entries()) if (i % 2 === 0) room.free([at, at + BLOCK]);
  assert(!room.gather());
  assert(!room.reserve(BLOCK));
  for (const [i, at] of blocks.entries()) if (i % 2 === 1) room.free([at, at + BLOCK]);
  assert(room.gather());
  assert.equal(fill(room).length, blocks.length);
});

test('after a reset everything is free', () => {
  const room = new RecordRoom();
  const blocks = fill(room);
  room.reset();
  assert.deepEqual(fill(room), blocks);
});
