/**
 * Boots the Linux that comes with Trapeze, runs a command in it and switches it off:
 *
 *     node examples/hello.ts
 *
 * In a project of your own, after `npm install trapeze`, the import is `from 'trapeze'`.
 */
import { Machine } from '../src/host/node/index.ts';

const machine = await Machine.create({ memory: '128M' });
const ended = machine.run();

await machine.waitForText('# ');
machine.write('echo "$(uname -sm) says $((6 * 7))"\n');
const { text } = await machine.waitForText(/Linux \S+ says \d+/);
console.log(text);

machine.write('poweroff\n');
const result = await ended;
const { instructions, wallSeconds } = machine.statistics();
console.log(`${result.kind} after ${instructions} instructions in ${wallSeconds.toFixed(1)} s`);
