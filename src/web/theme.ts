/** Dark, light, or as the system has it; the choice is remembered. */
const CHOICES = ['system', 'dark', 'light'] as const;
type Choice = (typeof CHOICES)[number];
const KEY = 'trapeze-theme';

/** `applied` is told after each change. */
export function makeThemeButton(place: HTMLButtonElement, applied: (dark: boolean) => void): void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  let choice: Choice = CHOICES.find((one) => one === remembered(KEY)) ?? 'system';
  const apply = (): void => {
    const dark = choice === 'dark' || (choice === 'system' && system.matches);
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    place.textContent = `Theme: ${choice}`;
    applied(dark);
  };
  place.addEventListener('click', () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length]!;
    remember(KEY, choice);
    apply();
  });
  system.addEventListener('change', apply);
  apply();
}

/** Pages may be forbidden to keep anything. */
export function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {}
}
