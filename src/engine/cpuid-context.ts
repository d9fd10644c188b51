/** What CPUID asks of the machine around the processor. */
import type { CpuidContext } from '../isa/x86/cpuid.ts';
import type { EngineHost } from './engine.ts';

const TSC_FREQUENCY = 1_000_000_000;
const IA32_APIC_BASE = 0x1b;
const APIC_ENABLED = 1n << 11n;

export function cpuidContext(host: EngineHost, cr4: bigint, xcr0: bigint): CpuidContext {
  const apicBase = host.msrs.read(IA32_APIC_BASE) ?? 0n;
  return { tscFrequency: TSC_FREQUENCY, apicId: 0, apicEnabled: (apicBase & APIC_ENABLED) !== 0n, cr4, xcr0 };
}
