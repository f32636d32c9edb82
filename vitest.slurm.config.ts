import { defineConfig } from 'vitest/config';

/** Tests on a real Slurm, apart from the others: they want its daemons, and root. */
export default defineConfig({
  test: { include: ['testing/slurm/*.slurm.ts'], env: { TZ: 'UTC' }, testTimeout: 60_000, hookTimeout: 120_000 },
});
