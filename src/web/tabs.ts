/** Tabs by the pattern of the ARIA Authoring Practices: arrow keys go from one to the next. */

/** `shown` is told the id of the panel. */
export function makeTabs(list: HTMLElement, shown: (panel: string) => void): void {
  const tabs = [...list.querySelectorAll<HTMLButtonElement>('[role="tab"]')];
  const select = (chosen: HTMLButtonElement): void => {
    for (const tab of tabs) {
      const selected = tab === chosen;
      tab.setAttribute('aria-selected', String(selected));
      tab.tabIndex = selected ? 0 : -1;
      document.getElementById(tab.getAttribute('aria-controls')!)!.hidden = !selected;
    }
    shown(chosen.getAttribute('aria-controls')!);
  };
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener('click', () => select(tab));
    tab.addEventListener('keydown', ({ key }) => {
      const next = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[key];
      if (next === undefined) return;
      const target = tabs[(next + tabs.length) % tabs.length]!;
      select(target);
      target.focus();
    });
  }
}
