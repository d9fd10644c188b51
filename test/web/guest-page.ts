/** The page as a test sees it. */
import type { Page } from 'playwright-core';
import type {} from '../../src/web/trapeze-vm.ts';

/** A page that collects what its guest prints, and what goes wrong in it. */
export class GuestPage {
  readonly page: Page;
  /** Errors of scripts, and what the console calls errors. */
  readonly problems: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on('pageerror', (error) => this.problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.problems.push(message.text());
    });
  }

  async open(address: string): Promise<void> {
    await this.page.addInitScript(() => {
      const seen = { text: '' };
      Object.assign(globalThis, { seen });
      document.addEventListener('DOMContentLoaded', () =>
        document.querySelector('trapeze-vm')?.addEventListener('output', ({ detail }) => (seen.text += detail.text)),
      );
    });
    await this.page.goto(address);
  }

  /** Resolves when the guest has printed a text behind what was found before. */
  async printed(text: string, timeout = 120_000): Promise<void> {
    await this.page.waitForFunction(
      (wanted) => {
        const { seen } = globalThis as unknown as { seen: { text: string } };
        const at = seen.text.indexOf(wanted);
        if (at < 0) return false;
        seen.text = seen.text.slice(at + wanted.length);
        return true;
      },
      text,
      { timeout, polling: 50 },
    );
  }

  /** A line that tells what the machine does, or what keeps it from that. */
  state(text: string | RegExp): Promise<void> {
    return this.page.getByRole('status').filter({ hasText: text }).first().waitFor();
  }
}
