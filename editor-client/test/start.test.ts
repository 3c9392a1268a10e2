// When nothing may start, and when there is nothing to start.
import assert from "node:assert/strict";
import { test } from "node:test";
import { steps, until, VERSIONS, type Step } from "./workbench";

for (const version of VERSIONS) {
  test(`a folder that is not trusted in VS Code ${version.name}`, (t) =>
    steps(t, { version, trust: true, files: { "a.py": "" } }, { "nothing starts in Restricted Mode, and does once the folder is trusted": waits }));
  test(`no server for VS Code ${version.name}`, (t) =>
    steps(t, { version, settings: { "pygent.server.command": [] } }, { "a missing server is told with what to do": tells }));
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
