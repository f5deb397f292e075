import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    // The first fails tests that leave descriptors or mapped memory behind.
    setupFiles: ['test/support/leak-check.ts', 'test/support/seed.ts'],
  },
});
