// Runs each file of tests; one that fails is run once more and named, as a workbench on a busy machine is late now and then.
// With words only the files that they name: `npm test chat themes`.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

const wanted = process.argv.slice(2);
const names = readdirSync("out").filter((name) => name.endsWith(".test.mjs"));
const files = names.filter((name) => !wanted.length || wanted.includes(name.replace(".test.mjs", "")));
const passes = (file) => spawnSync(process.execPath, ["--test", "--test-reporter=spec", `out/${file}`], { stdio: "inherit" }).status === 0;
const late = files.filter((file) => !passes(file));
const failed = late.filter((file) => !passes(file));
if (late.length) process.stderr.write(`run once more: ${late.join(" ")}; failed again: ${failed.join(" ") || "none"}\n`);
process.exitCode = failed.length || !files.length ? 1 : 0;
