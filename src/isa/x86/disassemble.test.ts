import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { disassemble } from './disassemble.ts';
import type { CodeSize } from './prefixes.ts';

const CASES: readonly (readonly [mode: CodeSize, hex: string, text: string])[] = [
  [64, '48 01 d8', 'add rax,rbx'],
  [64, '44 88 e0', 'mov al,r12b'],
  [64, '88 e0', 'mov al,ah'],
  [64, '8b 44 8d f0', 'mov eax,dword ptr [rbp+rcx*4-10h]'],
  [64, '8b 04 0d f0 ff ff ff', 'mov eax,dword ptr [rcx*1-10h]'],
  [64, '48 8b 05 10 00 00 00', 'mov rax,qword ptr [1017h]'],
  [64, '64 a1 01 02 03 04 05 06 07 08', 'mov eax,dword ptr fs:[807060504030201h]'],
  [32, '36 8b 03', 'mov eax,dword ptr ss:[ebx]'],
  [16, '8b 40 80', 'mov ax,word ptr [bx+si-80h]'],
  [64, 'f0 83 00 ff', 'lock add dword ptr [rax],0FFFFFFFFh'],
  [64, '6a ff', 'push 0FFFFFFFFFFFFFFFFh'],
  [64, '66 6a 09', 'data16 push 9'],
  [64, 'e8 10 00 00 00', 'call 0000000000001015h'],
  [16, 'eb fe', 'jmp short 1000h'],
  [32, '9a 01 02 03 04 05 06', 'call far 04030201h,0605h'],
  [64, '48 ff 28', 'jmp far tbyte ptr [rax]'],
  [64, 'f3 48 a5', 'rep movsq qword ptr [rdi],qword ptr [rsi]'],
  [64, 'f2 ae', 'repne scasb byte ptr [rdi]'],
  [64, 'f3 a6', 'repe cmpsb byte ptr [rsi],byte ptr [rdi]'],
  [32, '2e a4', 'movsb byte ptr es:[edi],byte ptr cs:[esi]'],
  [64, '48 98', 'cdqe'],
  [64, '67 e3 10', 'jecxz 0000000000001013h'],
  [64, 'dc c1', 'fadd st(1),st'],
  [64, '66 41 0f 58 08', 'addpd xmm1,xmmword ptr [r8]'],
  [64, '0f c2 c1 03', 'cmpps xmm0,xmm1,3'],
  [64, '8e d8', 'mov ds,ax'],
  [64, '0f 20 c0', 'mov rax,cr0'],
  [64, 'c8 10 00 01', 'enter 10h,1'],
];

describe('disassemble', () => {
  for (const [mode, hex, text] of CASES) {
    it(`${mode}-bit ${hex}: ${text}`, () => {
      const bytes = Uint8Array.from(hex.split(' '), (b) => Number.parseInt(b, 16));
      assert.deepEqual(disassemble(bytes, mode, 0x1000n), { text, length: bytes.length });
    });
  }

  it('calls what is no instruction (bad)', () => {
    const bad = { text: '(bad)', length: 1 };
    assert.deepEqual(disassemble(Uint8Array.of(0x0f, 0x04), 64, 0n), bad);
    assert.deepEqual(disassemble(Uint8Array.of(0x48), 64, 0n), bad);
  });
});
