// Are the files that programs make as those programs make them now?  With --write they are made.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const python = ["../.venv/bin/python", process.env.PYTHON ?? "python3"].find((name) => name.includes("/") ? existsSync(name) : true);
const made = {
  "src/protocol.ts": execFileSync(python, ["-m", "pygent.lsp.typescript"], { encoding: "utf8" }),
  "l10n/bundle.l10n.json": bundle(),
};

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
