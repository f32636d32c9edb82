import { defineConfig } from 'vitest/config';

/** Tests in a real browser, apart from the others: they want a Chromium. */
export default defineConfig({
  test: { include: ['testing/browser/*.browser.ts'], env: { TZ: 'UTC' }, testTimeout: 60_000, hookTimeout: 120_000 },
});
