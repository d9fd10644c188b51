import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IrBuilder } from './builder.ts';
import { printProcedure } from './printer.ts';
import { procedure } from './procedure.ts';

test('a procedure prints its signature, values by number and nested statements indented', () => {
  const p = procedure(
    () => new IrBuilder(),
    { name: 'atMost', parameters: ['i32', 'i32'], results: ['i32'] },
    (b, x, y) => {
      b.if(b.ltU(x, y), () => b.return(x));
      b.return(b.add(y, 16));
    },
  );
  assert.equal(
    printProcedure(p),
    [
      'atMost(p0: i32, p1: i32): i32',
      '  v0: i1 = lt_u p0, p1',
      '  if v0 {',
      '    return p0',
      '  }',
      '  v1: i32 = add p1, 0x10',
      '  return v1',
    ].join('\n'),
  );
});
