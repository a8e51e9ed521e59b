// How vite makes dist of src and of the libraries. A few files instead of many hundreds start in two thirds of the time; and
// what is constant stays so in them, which takes a twentieth off the processor time of a statement (esbuild makes variables of it).

import { fileURLToPath } from 'node:url'

/** What is run or imported by its name in dist. */
const ENTRIES = ['main', 'lab/index', 'lab/prepare']
const source = (entry) => fileURLToPath(new URL(`../src/${entry}.ts`, import.meta.url))

export default {
  logLevel: 'warn',
  publicDir: false,
  ssr: { noExternal: true, target: 'node' },
  build: {
    ssr: true,
    target: 'node20',
    minify: false,
    sourcemap: true,
    outDir: 'dist',
    // Somebody may be running what is there.
    emptyOutDir: false,
    rollupOptions: {
      input: Object.fromEntries(ENTRIES.map((entry) => [entry, source(entry)])),
      output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: 'parts/[name]-[hash].js' },
      onwarn(warning, warn) {
        // Comments in libraries, meant for other programs.
        if (warning.code !== 'INVALID_ANNOTATION') warn(warning)
      },
    },
  },
}
