import type { Vcpu } from './engine.ts';

/** The same processor, for who does some of it otherwise. */
export function forwardVcpu(vcpu: Vcpu): Vcpu {
  return {
    run: (budget) => vcpu.run(budget),
    kick: () => vcpu.kick(),
    retired: () => vcpu.retired(),
    register: (name) => vcpu.register(name),
    setRegister: (name, value) => vcpu.setRegister(name, value),
    reset: () => vcpu.reset(),
    state: () => vcpu.state(),
    restore: (state) => vcpu.restore(state),
    statistics: () => vcpu.statistics(),
    ...(vcpu.recentPages && { recentPages: () => vcpu.recentPages!() }),
  };
}
