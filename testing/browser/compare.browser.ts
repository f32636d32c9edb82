import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompareRequest, compare, openTrace, type PolicySpec, resultOf } from '../../src/index.ts';
import { renderJson } from '../../src/report/json.ts';
import { iommulator, ROOT } from '../cli.ts';
import { startBrowser } from './chromium.ts';
import type { CompareReply, CompareTask } from './compare-worker.ts';

const PAGE = 'https://compare.test/';

let browser: Browser;
let page: Page;
/** The worker as one script; what it imports of Node could not be bundled. */
let script = '';

beforeAll(async () => {
  browser = await startBrowser();
  page = await browser.newPage();
  await page.route(PAGE, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
  await page.goto(PAGE);
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      lib: { entry: join(ROOT, 'testing/browser/compare-worker.ts'), formats: ['iife'], name: 'compare' },
    },
  });
  const [{ output }] = built as unknown as [{ output: [{ code: string }] }];
  script = output[0].code;
});
afterAll(() => browser?.close());

/** What a worker answers that is asked for a comparison of a shipped trace. */
function ask(name: string, request: CompareRequest, stopAt?: number): Promise<CompareReply> {
  const base64 = (file: string): string => readFileSync(join(ROOT, file)).toString('base64');
  const [engine, trace] = [base64('build/release.wasm'), base64(`traces/${name}.trace`)];
  return page.evaluate(
    ({ script, engine, trace, ...rest }) =>
      new Promise<CompareReply>((resolve, reject) => {
        const bytes = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
        const worker = new Worker(URL.createObjectURL(new Blob([script])));
        worker.addEventListener('message', ({ data }) => resolve(data as CompareReply));
        worker.addEventListener('error', ({ message }) => reject(new Error(message)));
        worker.postMessage({ ...rest, engine: bytes(engine), trace: bytes(trace) } satisfies CompareTask);
      }),
    { script, engine, trace, name, request, ...(stopAt !== undefined && { stopAt }) },
  );
}

test('nothing of Node is in the way of a worker', () => {
  // The catalog asks whether there are files, and what would load the parser of them.
  const asked = ['node:fs"', 'node:path"', 'node:module"'];
  expect(script.match(/node:\w+"|\brequire\(\S*|__vite-browser-external/g)).toEqual(asked);
});

test.each([
  ['sqlite', ['under-lock', 'range-end'], ['amd-v2']],
  ['vtd-edu-stale-lazy-icount', ['all'], ['intel-vtd', 'amd-vi']],
])('a worker prints what the command prints: %s', async (name, policies, machines) => {
  const { result, shares } = await ask(name, { policies, machines });
  const options = ['--policies', String(policies), '--machines', String(machines), '--format', 'json'];
  expect(renderJson(result)).toBe(iommulator(['compare', name, ...options]).stdout);
  expect(shares.at(-1)).toBe(1);
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
});

test('policies and machines as objects, as in Node', async () => {
  const mine: PolicySpec = { name: 'mine', title: 'a longer queue', source: 'a test', extends: 'lazy' };
  const machine = {
    name: 'my-vtd',
    title: 'slower',
    source: 'a test',
    extends: 'intel-vtd',
    device: { outstanding: 1 },
  };
  const request = { policies: ['strict', mine], machines: [machine], settings: ['cost.qi.wait=900'] };
  const { result } = await ask('vtd-edu-stale-lazy-icount', request);
  const trace = await openTrace('vtd-edu-stale-lazy-icount');
  expect(renderJson(result)).toBe(renderJson(resultOf(trace, await compare(trace, request))));
});

test('an unknown name, a path and a signal, each in its words', async () => {
  const [edu, amd] = ['vtd-edu-stale-lazy-icount', ['intel-vtd']];
  expect((await ask(edu, { policies: ['lasy'], machines: amd })).error).toMatch(/^no policy "lasy".*lazy/);
  const { error } = await ask(edu, { policies: ['./mine.yaml'], machines: amd });
  expect(error).toBe('./mine.yaml: there are no files here, expected a name or an object');
  const stopped = await ask('sqlite', { policies: ['under-lock', 'range-end'], machines: ['amd-v2'] }, 0.3);
  expect(stopped.interrupted).toBe(true);
  expect(stopped.shares.at(-1)).toBeLessThan(0.5);
});
