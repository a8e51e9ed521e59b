// How the tests run. Unit tests run side by side; the kinds that need servers share them, and run one file at a time.

import { defineConfig } from 'vitest/config'

const WITH_SERVERS = ['conformance', 'integration', 'fault', 'torture', 'staleness'] as const

export default defineConfig({
  test: {
    projects: [
      // On a busy machine any of them may take long; which one, is chance.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 30_000 } },
      ...WITH_SERVERS.map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          globalSetup: ['test/support/global-setup.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      })),
      // It has servers of its own, with the settings that the scripts expect.
      { test: { name: 'suites', include: ['test/suites/**/*.test.ts'], hookTimeout: 600_000 } },
    ],
  },
})
