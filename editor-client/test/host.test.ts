// Starts the tests that run in the extension host, and does for them what only a page can.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { CLIENT, PYTHON, until, VERSIONS, Workbench, type Reply, type Version } from "./workbench";

const SHOP = "def total(prices):\n    return 42\n";
const REPLIES: Reply[] = [
  { match: { first: "Ask first" }, tool_calls: [{ name: "bash", arguments: { cmd: "touch asked" } }], times: 1 },
  { match: { first: "Ask first" }, text: "So I asked.", times: 1 },
  { match: { first: "Ask first" }, tool_calls: [{ name: "bash", arguments: { cmd: "touch asked" } }] },
  ...[
    { name: "write_file", arguments: { path: "made.txt", content: "made\n" } },
    { name: "edit_file", arguments: { path: "shop.py", old: "42", new: "43" } },
  ].map((call) => ({ match: { first: "Change two" }, tool_calls: [call] })),
  { match: { first: "Change two" }, text: "Changed." },
  { match: { first: "Explain" }, text: "It gives nothing back of what it is given." },
];
const toml = (model: string) => ({ "pygent.toml": `model = "${model}"\nmax_tasks = 5\n` });

for (const version of VERSIONS) test(`in the extension host of VS Code ${version.name}`, (t) => inHost(t, version));

async function inHost(t: { test: typeof test; diagnostic: (text: string) => void }, version: Version): Promise<void> {
  const bin = mkdtempSync(path.join(tmpdir(), "pygent-host-"));
  const results = path.join(bin, "results");
  const bench = await Workbench.open({
    version,
    replies: REPLIES,
    files: { "shop.py": SHOP, ...toml("of-the-shop") },
    other: { "other.py": "", ...toml("of-the-other") },
    env: { PATH: `${bin}:/usr/bin:/bin`, PYGENT_HOST_BIN: bin, PYGENT_HOST_RESULTS: results, PYGENT_HOST_PYTHON: PYTHON },
    hostTests: path.join(CLIENT, "out/extension.host.cjs"),
  });
  try {
    await badge(bench);
    const lines = await until(() => ended(results), 300_000);
    for (const { name, error } of lines) await t.test(name, () => assert.equal(error, undefined));
    assert.ok(lines.length > 1);
  } catch (error) {
    await bench.picture(`failed-host-${version.name}`);
    if (existsSync(results)) t.diagnostic(readFileSync(results, "utf8"));
    throw error;
  } finally {
    await bench.close();
    rmSync(bin, { recursive: true });
  }
}

/** One task waits: the activity bar says so, until the person has answered. */
async function badge(bench: Workbench): Promise<void> {
  const count = bench.page.locator('.activitybar .action-item:has([aria-label^="Pygent"]) .badge-content');
  await count.filter({ hasText: /^1$/ }).waitFor({ timeout: 120_000 });
  await bench.chat.locator(".card.waiting").getByRole("button", { name: "Deny" }).click();
}

function ended(results: string): { name: string; error?: string }[] | undefined {
  const lines = readFileSync(results, "utf8").trim().split("\n").map((line) => JSON.parse(line) as { name: string; error?: string });
  return lines.at(-1)?.name === "end" ? lines : undefined;
}
