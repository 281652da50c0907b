import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` shows the pages with everything else coming from a running Hilum.
const server = process.env.HILUM_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    target: "es2022",
    // Fonts and pictures stay files: the content security policy then needs no exception for data addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: "LICENCES.md" },
  },
  server: {
    proxy: { "/api": server, "/dicom-web": server, "/ohif": server },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
