// The interpreter that a Python extension has chosen.  The two real ones are in no registry of npm's, so
// extensions stand in their place that export, under their names, what those document.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { CLIENT, PYTHON, steps, until, VERSIONS, type Workbench } from "./workbench";

const place = mkdtempSync(path.join(tmpdir(), "pygent-python-"));
const chosen = (extension: string) => path.join(place, `${extension}.chosen`);
after(() => rmSync(place, { recursive: true }));

/** What both of the extensions need: which interpreter is chosen, and word of another choice. */
const choice = (name: string) => `
const { existsSync, readFileSync, watchFile } = require("node:fs");
const { EventEmitter, Uri } = require("vscode");
const file = ${JSON.stringify(chosen(name))};
const choice = () => existsSync(file) ? readFileSync(file, "utf8") : undefined;
const changed = new EventEmitter();
watchFile(file, { interval: 100 }, () => changed.fire({}));
`;
/** As in @vscode/python-extension: the path is that of the environment's folder, and the whole is found out by asking. */
const PYTHON_EXTENSION = `${choice("python")}
const getActiveEnvironmentPath = () => ({ id: "chosen", path: choice() ?? "python" });
const resolveEnvironment = async ({ path }) => path === "python" ? undefined : { id: "chosen", path, executable: { uri: Uri.file(path + "/bin/python") } };
const environments = { getActiveEnvironmentPath, resolveEnvironment, onDidChangeActiveEnvironmentPath: changed.event };
exports.activate = async () => ({ ready: Promise.resolve(), environments });
`;
/** As in @vscode/python-environments. */
const ENVIRONMENTS_EXTENSION = `${choice("vscode-python-envs")}
const getEnvironment = async () => {
  const executable = choice();
  if (executable === "broken") throw new Error("it fails");
  return executable && { displayName: "Python", execInfo: { run: { executable } } };
};
exports.activate = async () => ({ getEnvironment, onDidChangeEnvironment: changed.event });
`;
const SECOND = path.join(environment("second"), "bin/python");

for (const version of VERSIONS) {
  const options = {
    version,
    settings: { "pygent.server.command": [] },
    env: { PATH: "/usr/bin:/bin" },
    extensions: [packaged("vscode-python-envs", ENVIRONMENTS_EXTENSION)],
    replies: [{ match: { first: "Tell a long story" }, text: "Once upon a time. ".repeat(400), fragment: 18, delay: 0.2 }],
  };
  test(`the interpreter of a Python extension in VS Code ${version.name}`, (t) =>
    steps(t, options, {
      "none is chosen, and no server is found": async (bench) => {
        await bench.toast("server was not found").waitFor();
        assert.deepEqual(running(), []);
      },
      "that of ms-python.python is taken as soon as it is there, by its environment's folder": async (bench) => {
        writeFileSync(chosen("python"), environment("first"));
        bench.install(packaged("python", PYTHON_EXTENSION));
        await runs(bench, "first");
      },
      "that of vscode-python-envs goes before, from the moment it is chosen": async (bench) => {
        writeFileSync(chosen("vscode-python-envs"), SECOND);
        await runs(bench, "second");
      },
      "an extension that fails is passed over, and nothing that runs is interrupted unasked": async (bench) => {
        await bench.command("Pygent: Chat");
        await bench.say("Tell a long story");
        await bench.chat.locator(".assistant").getByText("Once upon a time.").waitFor();
        writeFileSync(chosen("vscode-python-envs"), "broken");
        const asked = await bench.notified("Another Python is chosen");
        assert.ok(running()[0]?.includes("second.log"));
        await bench.status("Pygent: busy");
        await asked.getByRole("button", { name: "Restart Server" }).click();
        await runs(bench, "first");
        for (const name of ["python", "vscode-python-envs"]) rmSync(chosen(name));
      },
    }));
}

/** Wait until the one server that runs is that of an environment, and the status says so. */
async function runs(bench: Workbench, name: string): Promise<void> {
  await until(() => running().length === 1 && running()[0]?.includes(`${name}.log`));
  await bench.status("Pygent: idle");
  const hover = bench.page.locator(".monaco-hover", { hasText: "from active Python environment" });
  await until(async () => {
    await bench.page.mouse.move(600, 300);
    await bench.page.locator(".statusbar-item", { hasText: "Pygent: idle" }).first().hover();
    await hover.waitFor({ timeout: 3000 });
    return true;
  });
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
