// How the tests run. Unit tests run side by side; the kinds that start servers run one file at a time.

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      ...(['conformance', 'integration', 'fault'] as const).map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      })),
    ],
  },
})
