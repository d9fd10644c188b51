/** What a virtual CPU is given where nothing is around it. */
import type { Bus } from '../../src/devices/contract.ts';
import type { EngineHost } from '../../src/engine/engine.ts';

const NOWHERE: Bus = { map: () => {}, unmap: () => {}, read: () => 0xffffffff, write: () => {} };

/** No devices, no interrupts, no time. */
export const SILENT_HOST: EngineHost = {
  mmio: NOWHERE,
  ports: NOWHERE,
  interrupts: {
    pending: () => false,
    acknowledge: () => -1,
    takeNmi: () => false,
    taskPriority: () => 0,
    setTaskPriority: () => {},
  },
  msrs: { read: () => undefined, write: () => false },
  timestamp: () => 0n,
  entropy: () => 0n,
};
