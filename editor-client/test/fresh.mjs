// Are the files that programs make as those programs make them now?  With --write they are made.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const python = ["../.venv/bin/python", process.env.PYTHON ?? "python3"].find((name) => name.includes("/") ? existsSync(name) : true);
const made = {
  "src/protocol.ts": execFileSync(python, ["-m", "pygent.lsp.typescript"], { encoding: "utf8" }),
  "l10n/bundle.l10n.json": bundle(),
  "package.json": manifest(),
};

/** The manifest with what `pygent.config` may hold, as the schema of `pygent.toml` says it. */
function manifest() {
  const { properties } = JSON.parse(readFileSync("../docs/pygent.schema.json", "utf8"));
  const lines = Object.entries(properties).map(([name, schema]) => `            ${JSON.stringify(name)}: ${JSON.stringify(schema)}`);
  const schema = `"additionalProperties": false,\n          "properties": {\n${lines.join(",\n")}\n          },`;
  const place = /("pygent\.config": \{\n {10}"type": "object",\n {10})(?:"additionalProperties"[^]*?\n {10}\},\n {10})?("default")/;
  return readFileSync("package.json", "utf8").replace(place, (_, before, after) => `${before}${schema}\n          ${after}`);
}

/** Every text that the sources say to a person, for translators to start from. */
function bundle() {
  const names = readdirSync("src", { recursive: true }).filter((name) => name.endsWith(".ts"));
  const found = names.flatMap((name) =>
    [...readFileSync(`src/${name}`, "utf8").matchAll(/\bt\(\s*("(?:[^"\\]|\\.)*")/g)].map(([, text]) => JSON.parse(text)),
  );
  return JSON.stringify(Object.fromEntries([...new Set(found)].sort().map((text) => [text, text])), null, 2) + "\n";
}

let stale = false;
for (const [name, text] of Object.entries(made)) {
  if (existsSync(name) && readFileSync(name, "utf8") === text) continue;
  if (process.argv.includes("--write")) writeFileSync(name, text);
  else stale = true;
  process.stderr.write(`${name} is not fresh${stale ? ": npm run generate" : ", and was made anew"}\n`);
}
process.exitCode = stale ? 1 : 0;
