import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/**
 * The page under /console/, as files that nginx serves; the address of each but index.html changes with its content. They name
 * each other by relative addresses, because a proxy may serve them below a path.
 */
export default defineConfig({
  base: './',
  logLevel: 'warn',
  resolve: { alias: { 'fidfs-client': fileURLToPath(new URL('../clients/js/dist/index.js', import.meta.url)) } },
  build: {
    outDir: '../dist/console',
    emptyOutDir: true,
    // The page's own rules (Content-Security-Policy) allow no scripts in the markup, and all browsers that run it preload.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  worker: { format: 'es' },
});
