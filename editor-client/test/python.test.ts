// The interpreter that a Python extension has chosen.  The two real ones are in no registry of npm's, so
// extensions stand in their place that export, under their names, what those document.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { CLIENT, PYTHON, steps, until, VERSIONS, type Step, type Workbench } from "./workbench";

const place = mkdtempSync(path.join(tmpdir(), "pygent-python-"));
const chosen = (extension: string) => path.join(place, `${extension}.chosen`);
after(() => rmSync(place, { recursive: true }));

/** As in @vscode/python-extension: the path is that of the environment's folder, and the whole is found out by asking. */
const PYTHON_EXTENSION = `
const { existsSync, readFileSync } = require("node:fs");
const { Uri } = require("vscode");
const file = ${JSON.stringify(chosen("python"))};
const getActiveEnvironmentPath = () => ({ id: "chosen", path: existsSync(file) ? readFileSync(file, "utf8") : "python" });
const resolveEnvironment = async ({ path }) => path === "python" ? undefined : { id: "chosen", path, executable: { uri: Uri.file(path + "/bin/python") } };
exports.activate = async () => ({ ready: Promise.resolve(), environments: { getActiveEnvironmentPath, resolveEnvironment } });
`;
/** As in @vscode/python-environments. */
const ENVIRONMENTS_EXTENSION = `
const { existsSync, readFileSync } = require("node:fs");
const file = ${JSON.stringify(chosen("vscode-python-envs"))};
const getEnvironment = async () => {
  const executable = existsSync(file) ? readFileSync(file, "utf8") : undefined;
  if (executable === "broken") throw new Error("it fails");
  return executable && { displayName: "Python", execInfo: { run: { executable } } };
};
exports.activate = async () => ({ getEnvironment });
`;

for (const version of VERSIONS) {
  const options = {
    version,
    settings: { "pygent.server.command": [] },
    env: { PATH: "/usr/bin:/bin" },
    extensions: [packaged("python", PYTHON_EXTENSION), packaged("vscode-python-envs", ENVIRONMENTS_EXTENSION)],
  };
  test(`the interpreter of a Python extension in VS Code ${version.name}`, (t) =>
    steps(t, options, {
      "none is chosen, and no server is found": async (bench) => {
        await bench.toast("server was not found").waitFor();
        assert.deepEqual(running(), []);
      },
      "that of ms-python.python is taken, by its environment's folder": choosing("python", environment("first")),
      "that of vscode-python-envs goes before": choosing("vscode-python-envs", path.join(environment("second"), "bin/python")),
      "an extension that fails is passed over": async (bench) => {
        writeFileSync(chosen("vscode-python-envs"), "broken");
        await restarted(bench, "first");
        for (const name of ["python", "vscode-python-envs"]) rmSync(chosen(name));
      },
    }));
}

function choosing(extension: string, what: string): Step {
  return async (bench) => {
    writeFileSync(chosen(extension), what);
    await restarted(bench, path.basename(what.replace("/bin/python", "")));
    const hover = bench.page.locator(".monaco-hover", { hasText: "from active Python environment" });
    await until(async () => {
      await bench.page.mouse.move(600, 300);
      await bench.page.locator(".statusbar-item", { hasText: "Pygent: idle" }).first().hover();
      await hover.waitFor({ timeout: 3000 });
      return true;
    });
  };
}

/** Restart, and wait until the one server that runs is that of an environment. */
async function restarted(bench: Workbench, name: string): Promise<void> {
  await bench.command("Pygent: Restart Server");
  await until(() => running().length === 1 && running()[0]?.includes(`${name}.log`));
  await bench.status("Pygent: idle");
}

/** The command lines of the servers that these environments' interpreters run. */
function running(): string[] {
  const listed = execFileSync("ps", ["-eo", "args="], { encoding: "utf8" }).split("\n");
  return listed.filter((line) => line.includes("-m pygent.lsp") && line.includes(place) && !line.includes("supervisor"));
}

/** An environment, whose interpreter says in its command line which one it is. */
function environment(name: string): string {
  const folder = path.join(place, name);
  const program = path.join(folder, "bin/python");
  mkdirSync(path.dirname(program), { recursive: true });
  writeFileSync(program, `#!/bin/sh\nexec '${PYTHON}' "$@" --log-file '${path.join(place, name)}.log'\n`);
  chmodSync(program, 0o755);
  return folder;
}

/** An extension as a package that VS Code installs. */
function packaged(name: string, source: string): string {
  const folder = path.join(place, `extension-${name}`);
  const file = path.join(place, `${name}.vsix`);
  const manifest = { name, publisher: "ms-python", version: "1.0.0", engines: { vscode: "^1.100.0" }, main: "main.js", activationEvents: [] };
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
  writeFileSync(path.join(folder, "README.md"), "In the place of an extension that is not to be had.\n");
  writeFileSync(path.join(folder, "main.js"), source);
  const vsce = path.join(CLIENT, "node_modules/.bin/vsce");
  const flags = ["--no-dependencies", "--allow-missing-repository", "--skip-license", "--out", file];
  execFileSync(vsce, ["package", ...flags], { cwd: folder, stdio: "ignore" });
  return file;
}
