import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTrace, planComparison } from '../../src/index.ts';
import type { ComparisonResult, RawRun } from '../../src/model/result.ts';
import { iommulator, ROOT } from '../cli.ts';
import { startBrowser } from './chromium.ts';
import type { ReplayTask } from './replay-worker.ts';

const PAGE = 'http://replay.test/';

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
      lib: { entry: join(ROOT, 'testing/browser/replay-worker.ts'), formats: ['iife'], name: 'replay' },
    },
  });
  const [{ output }] = built as unknown as [{ output: [{ code: string }] }];
  script = output[0].code;
});
afterAll(() => browser?.close());

/** What the worker answers to a task. */
function replay(task: ReplayTask): Promise<RawRun[]> {
  const { engine, trace } = task;
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return page.evaluate(
    ({ script, engine, trace, ...rest }) =>
      new Promise<RawRun[]>((resolve, reject) => {
        const bytes = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
        const worker = new Worker(URL.createObjectURL(new Blob([script])));
        worker.addEventListener('message', ({ data }) => resolve(data as RawRun[]));
        worker.addEventListener('error', ({ message }) => reject(new Error(message)));
        worker.postMessage({ ...rest, engine: bytes(engine), trace: bytes(trace) });
      }),
    { ...task, script, engine: base64(engine), trace: base64(trace) },
  );
}

test('nothing of Node is in the way of a worker', () => {
  expect(script).not.toMatch(/node:|require\(|__vite-browser-external/);
});

test.each([
  ['sqlite', { policies: ['under-lock', 'range-end'], machines: ['amd-v2'] }],
  ['vtd-edu-stale-lazy-icount', { policies: ['strict', 'lazy', 'passthrough'], machines: ['intel-vtd'] }],
])('a worker of the browser gives the bytes of Node: %s', async (name, request) => {
  const located = await openTrace(name);
  try {
    const plan = planComparison(located, request);
    const raw = await replay({
      engine: readFileSync(join(ROOT, 'build/release.wasm')),
      trace: readFileSync(located.path),
      name,
      jobs: plan.jobs,
    });
    const lists = [request.policies, '--machines', request.machines].map(String);
    const { stdout } = iommulator(['compare', name, '--policies', ...lists, '--format', 'json']);
    const { runs } = JSON.parse(stdout) as ComparisonResult;
    expect(runs.length).toBeGreaterThan(1);
    expect(JSON.stringify(plan.results(raw))).toBe(JSON.stringify(runs));
  } finally {
    located.close();
  }
});
