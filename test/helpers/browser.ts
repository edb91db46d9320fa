import { execFileSync } from 'node:child_process';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import root, { type Test } from 'tap';
import { missing } from './programs.js';

/** Reason to skip a test that needs a browser; false if there is one. */
export const noBrowser = missing('chromium');

/** State of an upload in the list, as in the `data-phase` of its row. */
export type Phase =
  | 'queued'
  | 'hashing'
  | 'checking'
  | 'sending'
  | 'waiting'
  | 'paused'
  | 'interrupted'
  | 'done'
  | 'failed';

/** The web console in a browser. */
export class ConsolePage {
  constructor(
    readonly page: Page,
    readonly origin: string,
  ) {}

  async open(view = ''): Promise<void> {
    await this.page.goto(`${this.origin}/console/#/${view}`);
    await this.page.waitForSelector('h1');
  }

  /** Fills in the key dialog, which must be open. */
  async enterKey(key: string): Promise<void> {
    await this.page.fill('dialog input', key);
    await this.page.click('dialog button.primary');
  }

  /** Opens a view with the key entered. */
  async openWithKey(key: string, view = ''): Promise<void> {
    await this.open(view);
    await this.page.click('header .chip');
    await this.enterKey(key);
    await this.page.waitForSelector('dialog', { state: 'detached' });
  }

  choose(...files: string[]): Promise<void> {
    return this.page.setInputFiles('.choose-files', files);
  }

  chooseFolder(directory: string): Promise<void> {
    return this.page.setInputFiles('.choose-folder', directory);
  }

  get rows(): Locator {
    return this.page.locator('.row');
  }

  /** Resolves with the row of a file once it is in the phase. */
  async row(name: string, phase?: Phase): Promise<Locator> {
    const state = phase ? `[data-phase=${phase}]` : '';
    const row = this.page.locator(`.row${state}`, { has: this.page.getByText(name, { exact: true }) }).first();
    await row.waitFor({ timeout: 120_000 });
    return row;
  }

  /** Resolves with the ID of a file once it is stored. */
  async id(name: string): Promise<string> {
    return (await (await this.row(name, 'done')).locator('code').textContent()) ?? '';
  }

  /** Clicks the button with this label in a row. */
  async press(name: string, button: string): Promise<void> {
    await (await this.row(name)).getByRole('button', { name: `${button}: ${name}` }).click();
  }
}

let launched: Promise<Browser> | undefined;

/** The browser of all tests of the process. Their pages are in contexts of their own, which share nothing. */
function theBrowser(): Promise<Browser> {
  launched ??= launch();
  return launched;
}

async function launch(): Promise<Browser> {
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium']).toString().trim();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  root.teardown(() => browser.close());
  return browser;
}

/**
 * Opens a page on a node's web console for a test. Asserts at the end that the page had no errors, violated no
 * Content-Security-Policy, and made no request to another origin. Prints the page's console messages if the test fails.
 */
export async function withConsole(
  t: Test,
  origin: string,
  use: (console: ConsolePage) => Promise<void>,
  options: BrowserContextOptions = {},
): Promise<void> {
  const browser = await theBrowser();
  const said: string[] = [];
  const wrong: string[] = [];
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  try {
    const page = await context.newPage();
    page.on('console', (message) => {
      said.push(`${message.type()}: ${message.text()}`);
      if (/content security policy/i.test(message.text())) wrong.push(message.text());
    });
    page.on('pageerror', (error) => wrong.push(String(error.stack)));
    page.on('request', (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith('blob:')) wrong.push(request.url());
    });
    try {
      await use(new ConsolePage(page, origin));
    } catch (error) {
      t.comment(`the page shows:\n${await page.innerText('body').catch(() => 'nothing')}`);
      throw error;
    }
    t.strictSame(wrong, [], 'no errors in the page, and no request to another origin');
  } finally {
    if (!t.passing() || wrong.length > 0) t.comment(`the page said:\n${said.join('\n')}`);
    await context.close();
  }
}
