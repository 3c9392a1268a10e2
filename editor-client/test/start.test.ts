// When nothing may start, and when there is nothing to start.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until, VERSIONS, Workbench } from "./workbench";

for (const version of VERSIONS) {
  test(`nothing starts in Restricted Mode of VS Code ${version.name}, and does once the folder is trusted`, async () => {
    const bench = await Workbench.open({ version, trust: true, files: { "a.py": "" } });
    try {
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
    } catch (error) {
      await bench.picture(`failed-trust-${version.name}`);
      throw error;
    } finally {
      await bench.close();
    }
  });

  test(`a missing server is told with what to do in VS Code ${version.name}`, async () => {
    const bench = await Workbench.open({ version, settings: { "pygent.server.command": [] } });
    try {
      await bench.status("Pygent: error");
      const toast = bench.toast("server was not found");
      await toast.getByRole("button", { name: "Copy Install Command" }).waitFor();
      await bench.picture(`no-server-${version.name}`);
      await toast.getByRole("button", { name: "Open Settings" }).click();
      await bench.page.locator(".settings-editor").waitFor();
      await until(async () => (await bench.page.locator(".settings-editor").innerText()).includes("pygent.toml"));
    } catch (error) {
      await bench.picture(`failed-no-server-${version.name}`);
      throw error;
    } finally {
      await bench.close();
    }
  });
}
