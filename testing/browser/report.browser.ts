import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExplorationResult } from '../../src/model/exploration.ts';
import type { ComparisonResult } from '../../src/model/result.ts';
import { iommulator, ROOT, withFolder } from '../cli.ts';
import { startBrowser } from './chromium.ts';
import { HOSTILE, hostileComparison, hostileExploration } from './hostile.ts';

const golden = (name: string): string => join(ROOT, 'traces/golden/cli', `${name}.json`);
const read = <T>(name: string): T => JSON.parse(readFileSync(golden(name), 'utf8')) as T;

let browser: Browser;
let folder = '';
let remove = (): void => {};

beforeAll(async () => {
  browser = await startBrowser();
  await new Promise<void>((ready) => {
    void withFolder((path) => {
      folder = path;
      ready();
      return new Promise<void>((resolve) => {
        remove = resolve;
      });
    });
  });
  const history = join(ROOT, 'traces/golden/history.ndjson');
  write('page', [golden('compare'), golden('compare-dma'), golden('explore'), gathered(), '--history', history]);
});
afterAll(async () => {
  await browser?.close();
  remove();
});

/** Gathered results of a shipped sweep. */
function gathered(): string {
  const grid = join(ROOT, 'traces/sweeps/stale-dma.yaml');
  const [results, file] = [join(folder, 'results'), join(folder, 'stale-dma.ndjson')];
  expect(iommulator(['sweep', grid, '--folder', results, '--quiet']).code).toBe(0);
  expect(iommulator(['sweep', 'gather', grid, '--folder', results, '-o', file]).code).toBe(0);
  return file;
}

function write(name: string, results: readonly string[]): void {
  const { code, stderr } = iommulator(['report', ...results, '-o', join(folder, `${name}.html`)]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

/** Opens a page, and fails if it says anything on the console or asks for anything but itself. */
async function visit(
  name: string,
  use: (page: Page) => Promise<void>,
  options: BrowserContextOptions = {},
): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1000, height: 800 }, ...options });
  const page = await context.newPage();
  const address = pathToFileURL(join(folder, `${name}.html`)).href;
  const strange: string[] = [];
  page.on('console', (message) => strange.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => strange.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    strange.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (request.url().split('#')[0] !== address) strange.push(`request: ${request.url()}`);
  });
  try {
    await page.goto(address);
    await use(page);
    expect(strange).toEqual([]);
  } finally {
    await context.close();
  }
}

/** What axe-core finds wrong, with everything unfolded. */
async function wrong(page: Page): Promise<string[]> {
  await page.evaluate(() => {
    for (const details of document.querySelectorAll('details')) details.open = true;
  });
  await page.evaluate(axe.source);
  const found = await page.evaluate(
    'axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] })',
  );
  const { violations } = found as { violations: { id: string; nodes: { html: string }[] }[] };
  return violations.map(({ id, nodes }) => `${id}: ${nodes.length} x ${nodes[0]?.html.slice(0, 200)}`);
}

test('a full comparison is less than 500 KB', () => {
  expect(statSync(join(folder, 'page.html')).size).toBeLessThan(500_000);
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe-core finds nothing wrong, ${colorScheme}`, () =>
    visit('page', async (page) => expect(await wrong(page)).toEqual([]), { colorScheme }));
}

for (const width of [1400, 640, 320]) {
  test(`fits a window of ${width} without scrolling sideways`, () =>
    visit(
      'page',
      async (page) => {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(wide).toBeLessThanOrEqual(0);
      },
      { viewport: { width, height: 800 } },
    ));
}

test('a mark says its numbers under the pointer, and the row of its run stands out', () =>
  visit('page', async (page) => {
    const mark = page.locator('#r1-cost [data-run="2"] .mark').first();
    await mark.hover();
    const { machine, policy } = read<ComparisonResult>('compare').runs[2]!;
    await expect.poll(() => page.locator('#tip').textContent()).toContain(`${policy} on ${machine}: queue `);
    expect(await page.locator('#r1 .summary tr.hot').allTextContents()).toHaveLength(1);
    expect(await page.locator('#r1 .summary tr.hot').textContent()).toContain(policy);
    await page.keyboard.press('Escape');
    expect(await page.locator('#tip').isHidden()).toBe(true);
  }));

test('tables sort by the keyboard, numbers as numbers, and say so', () =>
  visit('page', async (page) => {
    const head = page.locator('#r1 .summary th', { hasText: 'added per page' });
    const { runs } = read<ComparisonResult>('compare');
    const order = (down: boolean): string[] =>
      [...runs]
        .sort((a, b) => (a.cost.added_per_page_ns - b.cost.added_per_page_ns) * (down ? -1 : 1))
        .map(({ machine, policy }) => `${machine} ${policy}`);
    const shown = () =>
      page
        .locator('#r1 .summary tbody tr')
        .evaluateAll((rows) =>
          (rows as HTMLTableRowElement[]).map((row) => `${row.cells[0]!.textContent} ${row.cells[1]!.textContent}`),
        );
    await head.locator('button').focus();
    await page.keyboard.press('Enter');
    expect(await shown()).toEqual(order(false));
    expect(await head.getAttribute('aria-sort')).toBe('ascending');
    await page.keyboard.press('Enter');
    expect(await shown()).toEqual(order(true));
    expect(await head.getAttribute('aria-sort')).toBe('descending');
  }));

test('a filter leaves the runs of a verdict, in tables and in charts', () =>
  visit('page', async (page) => {
    const { runs } = read<ComparisonResult>('compare');
    const kept = runs.flatMap(({ safety }, i) => (safety.verdict === 'exposed' ? [i] : []));
    await page.locator('#r1 select').nth(2).selectOption('exposed');
    expect(await page.locator('#r1 .summary tbody tr:visible').count()).toBe(kept.length);
    expect(await page.locator('#r1 .filter output').textContent()).toBe(`${kept.length} of ${runs.length} runs`);
    expect(await page.locator('#r1-scatter .mark:not(.out)').count()).toBe(kept.length);
    // The other comparison is left alone.
    expect(await page.locator('#r2 .out').count()).toBe(0);
  }));

test('a verdict of the matrix leads to its counterexample, drawn', () =>
  visit('page', async (page) => {
    const { races } = read<ExplorationResult>('explore');
    const broken = races.find(({ verdict }) => verdict === 'broken')!;
    await page.locator('#r3 a').first().click();
    const drawn = page.locator(`#r3-${races.indexOf(broken)}`);
    await expect.poll(() => drawn.locator('table').isVisible()).toBe(true);
    expect(await drawn.locator('td.step').allTextContents()).toEqual(broken.steps.map(({ action }) => action));
    expect(await drawn.locator('td.used').count()).toBe(1);
  }));

test('a sweep: points say their numbers, and a filter leaves those of a policy', () =>
  visit('page', async (page) => {
    await page.locator('#r4-curves [data-run] path').first().hover();
    await expect.poll(() => page.locator('#tip').textContent()).toContain('strict, timeout_ms 1: ');
    await page.locator('#r4 select').nth(1).selectOption('lazy');
    expect(await page.locator('#r4 .filter output').textContent()).toBe('4 of 5 runs');
    expect(await page.locator('#r4-curves .mark[data-run]:not(.out)').count()).toBe(4);
  }));

test('a sweep of many runs: rows are made, and say what marks do not', async () => {
  const lines = readFileSync(join(folder, 'stale-dma.ndjson'), 'utf8').trim().split('\n');
  const [strict, lazy] = ['strict', 'lazy'].map((policy) => lines.find((line) => JSON.parse(line).policy === policy)!);
  const runs = Array.from({ length: 310 }, (_, i) => ({
    ...JSON.parse(lazy!),
    'policy.dma.timeout_ms': i + 2,
    hash: String(i).padStart(64, '0'),
  }));
  const file = join(folder, 'many.ndjson');
  writeFileSync(file, [strict, ...runs.map((run) => JSON.stringify(run)), ''].join('\n'));
  write('many', [file]);
  await visit('many', async (page) => {
    const rows = page.locator('#r1 .summary tbody tr');
    expect(await rows.count()).toBe(311);
    await page.locator('#r1-front path.mark.safe').hover();
    await expect.poll(() => page.locator('#tip').textContent()).toMatch(/policy strict, verdict safe, .*timeout_ms /);
    await page.locator('#r1 select').nth(1).selectOption('strict');
    expect(await page.locator('#r1 .filter output').textContent()).toBe('1 of 311 runs');
    expect(await wrong(page)).toEqual([]);
    await page.locator('#r1 select').nth(1).selectOption('');
    await page.locator('#r1 .summary th', { hasText: 'timeout_ms' }).locator('button').click();
    expect(await rows.last().textContent()).toContain('icount311');
  });
});

test('without scripts everything can be read', () =>
  visit(
    'page',
    async (page) => {
      expect(await page.locator('#r1 .summary tbody tr:visible').count()).toBe(10);
      expect(await page.locator('#r1-cost svg .mark > title').first().textContent()).toContain('queue');
      await page.locator('#r1-cost summary').click();
      expect(await page.locator('#r1-cost table').isVisible()).toBe(true);
    },
    { javaScriptEnabled: false },
  ));

test('printed, what is folded away is there', () =>
  visit('page', async (page) => {
    await page.emulateMedia({ media: 'print' });
    const high = await page.locator('#r1-cost table').evaluate((table) => table.getBoundingClientRect().height);
    expect(high).toBeGreaterThan(100);
    expect(await page.locator('#r1 .filter').isHidden()).toBe(true);
  }));

test('names cannot break out of their place', () => {
  writeFileSync(join(folder, 'one.json'), JSON.stringify(hostileComparison(read('compare'))));
  writeFileSync(join(folder, 'two.json'), JSON.stringify(hostileExploration(read('explore'))));
  write('hostile', [join(folder, 'one.json'), join(folder, 'two.json')]);
  return visit('hostile', async (page) => {
    for (const mark of await page.locator('#r1 .mark').all())
      await mark.dispatchEvent('pointermove', { bubbles: true });
    await page.locator('#r1 select').nth(1).selectOption({ index: 1 });
    expect(await page.evaluate('window.broken')).toBeUndefined();
    expect(
      await page.locator('img, iframe, object, body script ~ script, [onload], [onerror], [onpointermove]').count(),
    ).toBe(0);
    expect(await page.locator('style').count()).toBe(1);
    expect(await page.locator('#r1 .summary tbody tr').first().textContent()).toContain(HOSTILE[0]);
    expect(await wrong(page)).toEqual([]);
  });
});
