// When nothing may start, and when there is nothing to start.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { CLIENT, KEY, PYTHON, steps, until, VERSIONS, type Step } from "./workbench";

const place = mkdtempSync(path.join(tmpdir(), "pygent-start-"));
after(() => rmSync(place, { recursive: true }));

/** The real server, which ends at once when it is started for the first times. */
function failing(name: string, times: number): string {
  const file = path.join(place, name);
  const count = `tries=$(($(cat '${file}.tries' 2>/dev/null) + 1)); echo $tries >'${file}.tries'`;
  const server = `exec '${PYTHON}' -m pygent.lsp "$@" --log-file '${file}.log'`;
  writeFileSync(file, `#!/bin/sh\n[ "$1" = --version ] && ${server}\n${count}\n[ $tries -gt ${times} ] && ${server}\necho out of luck >&2\nexit 3\n`);
  chmodSync(file, 0o755);
  return file;
}
const tries = (file: string) => Number(readFileSync(`${file}.tries`, "utf8"));

for (const version of VERSIONS) {
  test(`a folder that is not trusted in VS Code ${version.name}`, (t) =>
    steps(t, { version, trust: true, files: { "a.py": "" } }, { "nothing starts in Restricted Mode, and does once the folder is trusted": waits }));
  test(`no server for VS Code ${version.name}`, (t) =>
    steps(t, { version, settings: { "pygent.server.command": [] } }, { "a missing server is told with what to do": tells }));
  const [late, never] = [failing(`late-${version.name}`, 2), failing(`never-${version.name}`, 1000)];
  const replies = [{ match: { first: "At last" }, text: "Here I am." }];
  test(`a server that ends as it starts in VS Code ${version.name}`, (t) =>
    steps(t, { version, replies, settings: { "pygent.server.command": [never], "pygent.trace.server": "verbose" } }, {
      "is started again, and told in the end": givesUp(never),
      "and is used once it starts, with what was said meanwhile": comesLate(late),
    }));
}

function givesUp(program: string): Step {
  return async (bench) => {
    await bench.status("Pygent: error");
    const toast = bench.toast("Pygent's server does not run. The log says why.");
    await toast.waitFor();
    assert.equal(tries(program), 5);
    assert.equal(await bench.toast(/./).count(), 1, "told once");
    await toast.getByRole("button", { name: "Show Log" }).click();
    await bench.logged(`[info] pygent.server.command: ${program} (`);
    await bench.logged("out of luck");
  };
}

function comesLate(program: string): Step {
  return async (bench) => {
    await bench.command("Pygent: Chat");
    await bench.chat.locator("textarea").waitFor();
    await bench.command("Developer: Set Log Level...");
    for (const name of ["Pygent", "Trace"]) await bench.page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first().click();
    bench.set({ "pygent.server.command": [program] });
    await until(() => tries(program));
    await bench.say("At last");
    await bench.chat.getByText("Here I am.").waitFor();
    assert.equal(tries(program), 3);
    await bench.command("Pygent: Show Log");
    const { version } = JSON.parse(readFileSync(path.join(CLIENT, "package.json"), "utf8")) as { version: string };
    await bench.logged(`[info] pygent.server.command: ${program} (${version}`);
    await until(() => bench.logs.includes("Here I am.")); // of which the log has every message
    assert.ok(!bench.logs.includes(KEY));
  };
}

const waits: Step = async (bench) => {
  const { page } = bench;
  const asked = page.getByRole("button", { name: /^No, I don't trust/ });
  const restricted = page.locator(".part.statusbar .statusbar-item", { hasText: "Restricted Mode" });
  await page.addLocatorHandler(asked, () => asked.click()); // the question may come after the status bar
  await asked.or(restricted).first().waitFor();
  if (await asked.isVisible()) await asked.click();
  await restricted.waitFor();
  assert.deepEqual(bench.servers(), []);
  assert.equal(await page.locator('.activitybar .action-label[aria-label^="Pygent"]').count(), 0);
  await restricted.click();
  await page.getByRole("button", { name: "Trust", exact: true }).first().click();
  await bench.status("Pygent: idle");
  assert.equal(bench.servers().length, 1);
};

const tells: Step = async (bench) => {
  await bench.status("Pygent: error");
  const toast = bench.toast("server was not found");
  await toast.getByRole("button", { name: "Copy Install Command" }).click();
  await until(async () => (await bench.page.evaluate(() => navigator.clipboard.readText())) === "python3 -m pip install pygent-server");
  await bench.command("Pygent: Restart Server");
  await toast.getByRole("button", { name: "Open Settings" }).click();
  await bench.page.locator(".settings-editor").waitFor();
  await until(async () => (await bench.page.locator(".settings-editor").innerText()).includes("pygent.toml"));
};
