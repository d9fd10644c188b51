/**
 * xterm.js as pages have it: made of its sources, without what no page of ours uses. Half of what it comes with is a base library and a
 * scroll bar that are VS Code's; `src/web/xterm` has in few lines what it needs of them.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = path.join(ROOT, 'node_modules/@xterm/xterm/src');
const ENTRY = `
export { Terminal } from 'browser/public/Terminal';
export { FitAddon } from '@xterm/addon-fit';
`;

const OURS: Readonly<Record<string, string>> = {
  'vs/base/common/event': 'base.ts',
  'vs/base/common/lifecycle': 'base.ts',
  'vs/base/browser/dom': 'base.ts',
  'vs/base/browser/ui/scrollbar/scrollableElement': 'scroll.ts',
  'vs/base/common/scrollable': 'scroll.ts',
};

/** What is made only for those who ask for decorations and ligatures, or draws nothing but these. */
const EMPTY = `
import { Disposable } from 'vs/base/common/lifecycle';
export class OverviewRulerRenderer extends Disposable {}
export class BufferDecorationRenderer extends Disposable {}
export class CharacterJoinerService {
  getJoinedCharacters() { return []; }
}
export class JoinedCellData {}
const never = () => new Disposable();
export class DecorationService extends Disposable {
  onDecorationRegistered = never;
  onDecorationRemoved = never;
  forEachDecorationAtCell() {}
  reset() {}
}
`;
const UNUSED = /\/(OverviewRulerRenderer|BufferDecorationRenderer|CharacterJoinerService|DecorationService)$/;

const PARTS: Plugin = {
  name: 'xterm-parts',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: UNUSED }, () => ({ path: 'unused', namespace: 'xterm-unused' }));
    onLoad({ filter: /^unused$/, namespace: 'xterm-unused' }, () => ({ contents: EMPTY, resolveDir: SOURCES }));
    onResolve({ filter: /^(?:browser|common|vs)\// }, ({ path: name }) => {
      if (!name.startsWith('vs/')) return { path: path.join(SOURCES, `${name}.ts`) };
      const ours = OURS[name];
      if (ours !== undefined) return { path: path.join(ROOT, 'src/web/xterm', ours) };
      return { errors: [{ text: `xterm.js uses ${name} now: add it to src/web/xterm` }] };
    });
  },
};

async function bundled(target: readonly string[]): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: ENTRY, resolveDir: ROOT },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: [...target],
    // It names what is its own with an underscore; its add-ons use some of that.
    mangleProps: /^_[a-z]/,
    legalComments: 'none',
    logLevel: 'warning',
    tsconfigRaw: { compilerOptions: { experimentalDecorators: true, useDefineForClassFields: false } },
    plugins: [PARTS],
  });
  return outputFiles[0]!.text;
}

/** Gives the bundle xterm.js and its add-on. */
export const xterm = (target: readonly string[]): Plugin => ({
  name: 'xterm',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@xterm\/(?:xterm|addon-fit)$/ }, () => ({ path: 'xterm.js', namespace: 'xterm' }));
    onLoad({ filter: /./, namespace: 'xterm' }, async () => ({ contents: await bundled(target) }));
  },
});
