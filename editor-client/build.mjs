// Bundles the extension, the chat's page and, with --tests, the tests.
import { build } from "esbuild";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const production = process.argv.includes("--production");
const common = { bundle: true, minify: production, sourcemap: false, logLevel: "warning", target: "es2022" };

if (process.argv.includes("--tests")) await tests();
else await extension();

async function extension() {
  rmSync("dist", { recursive: true, force: true });
  await Promise.all([
    build({
      ...common,
      entryPoints: ["src/extension.ts"],
      outfile: "dist/extension.js",
      platform: "node",
      format: "cjs",
      external: ["vscode"],
    }),
    build({ ...common, entryPoints: { chat: "src/view/main.ts" }, outdir: "dist", platform: "browser" }),
  ]);
  // The package's README goes without the pictures, which would need an address on the web.
  writeFileSync("dist/README.md", readFileSync("README.md", "utf8").replace(/^!\[.*\n\n/gm, ""));
}

async function tests() {
  const files = readdirSync("test").filter((name) => name.endsWith(".ts"));
  const entryPoints = Object.fromEntries(files.map((name) => [name.slice(0, -3), `test/${name}`]));
  const inHost = Object.entries(entryPoints).filter(([name]) => name.endsWith(".host"));
  const outside = Object.entries(entryPoints).filter(([name]) => !name.endsWith(".host"));
  const options = { ...common, minify: false, platform: "node", outdir: "out" };
  rmSync("out", { recursive: true, force: true });
  await Promise.all([
    build({ ...options, entryPoints: Object.fromEntries(outside), format: "esm", packages: "external", outExtension: { ".js": ".mjs" } }),
    build({ ...options, entryPoints: Object.fromEntries(inHost), format: "cjs", external: ["vscode"], outExtension: { ".js": ".cjs" } }),
  ]);
}
