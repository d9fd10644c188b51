/** The page of `trapeze web` and of the static build. */
import { optionsFrom } from './attributes.ts';
import { byId } from './elements.ts';
import { machineOf, withImage } from './images.ts';
import { InsideView } from './inside-view.ts';
import type { LiveView } from './live-view.ts';
import type { VmOptions } from './protocol.ts';
import { makeTabs } from './tabs.ts';
import { makeThemeButton, remember, remembered } from './theme.ts';
import './trapeze-vm.ts';
import type { VmState } from './trapeze-vm.ts';

const SAMPLE_MS = 500;
/** A browser has begun to write a download by then. */
const LINK_MS = 60_000;
const SCREEN_READER = 'trapeze-screen-reader';

const vm = byId<HTMLElementTagNameMap['trapeze-vm']>('vm');
const power = byId<HTMLButtonElement>('power');
const pause = byId<HTMLButtonElement>('pause');
const reset = byId<HTMLButtonElement>('reset');
const save = byId<HTMLButtonElement>('save');
const saveChanges = byId<HTMLButtonElement>('save-changes');
const state = byId('state');

/** What the running machine was made of, and the next will be. */
let machine: VmOptions = {};
let live: LiveView | undefined;
let problem: string | undefined;

const STATE_TEXT: Readonly<Record<VmState, string>> = {
  off: 'Off',
  starting: 'Starting…',
  running: 'Running',
  paused: 'Paused',
};

function showState(now: VmState): void {
  power.textContent = now === 'off' ? 'Start' : 'Stop';
  pause.textContent = now === 'paused' ? 'Resume' : 'Pause';
  pause.disabled = now === 'off' || now === 'starting';
  reset.disabled = pause.disabled;
  save.disabled = pause.disabled;
  saveChanges.disabled = pause.disabled;
  saveChanges.hidden = machine.snapshot === undefined;
  state.textContent = now === 'off' && problem !== undefined ? problem : STATE_TEXT[now];
}

async function start(options: VmOptions): Promise<void> {
  machine = options;
  problem = undefined;
  await vm.stop();
  live?.clear();
  try {
    await vm.start({ ...machine, memory: machine.memory ?? byId<HTMLSelectElement>('memory').value });
    vm.focus();
    // What images were decides what can be saved.
    const found = await withImage(options);
    if (machine === options) machine = found;
    showState(vm.state);
  } catch {
    // The element tells about it.
  }
}

async function open(files: Iterable<File>): Promise<void> {
  const chosen = [...files].map((file) => ({ name: file.name, content: file }));
  if (chosen.length === 0) return;
  try {
    const opened = await machineOf(chosen);
    await start({ ...opened, profile: machine.profile });
  } catch (error) {
    state.textContent = (error as Error).message;
  }
}

vm.addEventListener('statechange', ({ detail }) => {
  // Where an error has ended it the element shows the line, in place of the terminal.
  if (detail.state === 'off' && detail.result === undefined) problem = undefined;
  showState(detail.state);
  if (detail.state === 'running') void inside.refresh();
});
vm.addEventListener('error', ({ detail }) => {
  problem = detail.line;
  state.textContent = detail.line;
});

power.addEventListener('click', () => void (vm.state === 'off' ? start(machine) : vm.stop()));
pause.addEventListener('click', () => (vm.state === 'paused' ? vm.resume() : void vm.pause()));
reset.addEventListener('click', () => {
  vm.reset();
  vm.focus();
});

/** The snapshot goes where downloads go. */
async function saveMachine(changes: boolean): Promise<void> {
  save.disabled = true;
  saveChanges.disabled = true;
  state.textContent = 'Saving…';
  try {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await vm.save({ changes }));
    const now = new Date().toISOString().slice(0, 19).replaceAll(/[T:]/g, '-');
    link.download = `trapeze-${now}${changes ? '-changes' : ''}.snap`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), LINK_MS);
    showState(vm.state);
  } catch (error) {
    showState(vm.state);
    state.textContent = (error as Error).message;
  }
}
save.addEventListener('click', () => void saveMachine(false));
saveChanges.addEventListener('click', () => void saveMachine(true));

const files = byId<HTMLInputElement>('files');
byId('open').addEventListener('click', () => files.click());
files.addEventListener('change', () => {
  void open(files.files ?? []);
  files.value = '';
});
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('dropping');
});
document.addEventListener('dragleave', ({ relatedTarget }) => {
  if (relatedTarget === null) document.body.classList.remove('dropping');
});
document.addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  void open(event.dataTransfer?.files ?? []);
});

for (const key of document.querySelectorAll<HTMLElement>('[data-keys]'))
  key.addEventListener('click', () => {
    if (vm.state !== 'off') vm.write(key.dataset.keys!);
    vm.focus();
  });
byId('paste').addEventListener('click', async () => {
  const text = await navigator.clipboard?.readText().catch(() => undefined);
  if (text !== undefined && vm.state !== 'off') vm.write(text);
  vm.focus();
});

const inside = new InsideView(byId('inside'), {
  profile: (view) => (machine.profile === true && vm.state !== 'off' ? vm.profile(view) : undefined),
  restart: () => void start({ ...machine, profile: true }),
});

makeTabs(document.querySelector<HTMLElement>('[role="tablist"]')!, (panel) => {
  document.body.classList.toggle('wide', panel === 'inside');
  if (panel === 'inside') void inside.refresh();
});

makeThemeButton(byId<HTMLButtonElement>('theme'), (dark) => {
  vm.setAttribute('theme', dark ? 'dark' : 'light');
  live?.recolour();
});

const reader = byId<HTMLInputElement>('screen-reader');
const readAloud = (): void => {
  vm.toggleAttribute('screen-reader', reader.checked);
  remember(SCREEN_READER, String(reader.checked));
};
reader.checked = remembered(SCREEN_READER) === 'true';
reader.addEventListener('change', readAloud);
readAloud();

byId('isolation').textContent = crossOriginIsolated
  ? 'This page is cross-origin isolated: the guest’s clock has the browser’s finest steps.'
  : 'This page is not cross-origin isolated: the guest’s clock goes in steps of up to 0.1 ms (1 ms in Firefox).';
byId('shared').textContent = crossOriginIsolated
  ? 'In use: a second worker reads the memory of a large snapshot while the guest runs or waits for it.'
  : 'Not available (the page is not cross-origin isolated): the guest’s own worker reads large snapshots. All else is the same.';

async function showLive(): Promise<void> {
  const [{ LiveView: View }, { default: plot }] = await Promise.all([import('./live-view.ts'), import('uplot')]);
  live = new View(plot, byId('live'));
  setInterval(async () => {
    if (vm.state !== 'running' || document.hidden) return;
    const statistics = await vm.statistics().catch(() => undefined);
    if (statistics !== undefined) live?.add(statistics);
  }, SAMPLE_MS);
}

/** The machine that the page's address asks for, by the names of the element's attributes. */
function asked(): VmOptions {
  const query = new URLSearchParams(location.search);
  try {
    return optionsFrom((name) => query.get(name), location.href);
  } catch (error) {
    problem = (error as Error).message;
    return {};
  }
}

showState('off');
machine = asked();
if (problem === undefined) void start(machine);
else showState('off');
// Behind the machine's own files.
requestIdleCallback?.(() => void showLive()) ?? setTimeout(() => void showLive(), SAMPLE_MS);
