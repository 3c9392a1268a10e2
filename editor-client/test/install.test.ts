// The server that the extension installs for itself: only where the person says so, and nothing is left of what failed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { CLIENT, PYTHON, steps, storage, until, VERSIONS, type Step } from "./workbench";

const place = mkdtempSync(path.join(tmpdir(), "pygent-install-"));
const wheels = path.join(place, "wheels");
const bin = path.join(place, "bin");

/** A server of an earlier protocol, in the place of the one that the extension has installed. */
const OLD = `#!/bin/sh
exec '${PYTHON}' -c '
import json, sys
if "--version" in sys.argv:
    sys.exit(print("pygent-server 0.0.1"))
length = int(sys.stdin.buffer.readline().split(b":")[1]); sys.stdin.buffer.readline()
message = json.loads(sys.stdin.buffer.read(length))
result = {"serverInfo": {"name": "pygent-server", "version": "0.0.1"}, "capabilities": {"experimental": {"pygent": {"protocol": 0}}}}
body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
print(f"Content-Length: {len(body)}\\r\\n\\r\\n{body}", end="", flush=True)
sys.stdin.read()
' "$@"
`;

/** Nothing is on PATH but a Python, and that finds packages in one folder only. */
before(() => {
  mkdirSync(bin);
  const base = execFileSync(PYTHON, ["-c", "import sys; print(sys._base_executable)"], { encoding: "utf8" }).trim();
  writeFileSync(path.join(bin, "python3"), `#!/bin/sh\nexec '${base}' "$@"\n`);
  chmodSync(path.join(bin, "python3"), 0o755);
  const project = path.dirname(CLIENT);
  execFileSync(PYTHON, ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", wheels, project], { stdio: ["ignore", "ignore", "pipe"] });
});
after(() => rmSync(place, { recursive: true }));

for (const version of VERSIONS) {
  const links = path.join(place, `links-${version.name}`);
  const options = {
    version,
    settings: { "pygent.server.command": [] },
    env: { PATH: bin, PIP_NO_INDEX: "1", PIP_FIND_LINKS: links, PIP_CONFIG_FILE: "/dev/null" },
    replies: [{ match: { first: "Are you new" }, text: "Brand new." }],
    prepare: (root: string) => {
      const old = path.join(storage(root), "venv/bin");
      mkdirSync(old, { recursive: true });
      writeFileSync(path.join(old, "python"), OLD);
      chmodSync(path.join(old, "python"), 0o755);
    },
  };
  test(`a server for VS Code ${version.name} only`, (t) =>
    steps(t, options, {
      "one that is too old is told, and may be installed anew": tellsOld,
      "nothing is installed unless the person says so twice": declines,
      "what fails is told with its log, and keeps what was typed": fails(links),
      "one that is cancelled leaves nothing": cancels,
      "it is installed, starts and answers": installs(links),
    }));
}

const tellsOld: Step = async (bench) => {
  await bench.status("Pygent: error");
  await bench.toast("pygent-server 0.0.1 speaks protocol 0 and this extension speaks 1").waitFor();
  await bench.toast("speaks protocol").getByRole("button", { name: "Install for VS Code Only" }).waitFor();
  rmSync(path.join(bench.storage, "venv"), { recursive: true });
  await bench.command("Pygent: Restart Server");
};

const declines: Step = async (bench) => {
  await offer(bench).click();
  const asked = bench.page.locator(".monaco-dialog-box");
  await asked.getByText(`pip installs pygent-server into it`).waitFor();
  await asked.getByRole("button", { name: "Cancel" }).click();
  await asked.waitFor({ state: "detached" });
  assert.ok(!existsSync(path.join(bench.storage, "venv")));
  assert.deepEqual(bench.servers(), []);
};

function fails(links: string): Step {
  return async (bench) => {
    mkdirSync(links);
    await bench.command("Pygent: Chat");
    await bench.say("Are you new?");
    await until(async () => (await bench.chat.locator("textarea").inputValue()) === "Are you new?");
    await bench.command("Pygent: Restart Server");
    await agree(bench);
    const toast = bench.toast("could not be installed: No matching distribution found for pygent-server");
    await toast.getByRole("button", { name: "Show Log" }).click();
    await bench.logged("No matching distribution found for pygent-server");
    assert.ok(!existsSync(path.join(bench.storage, "venv")), "half an environment is none");
    assert.equal(await bench.chat.locator("textarea").inputValue(), "Are you new?");
    await offer(bench).waitFor(); // it may be tried again
  };
}

const cancels: Step = async (bench) => {
  await agree(bench);
  await bench.toast("Installing Pygent's server").getByRole("button", { name: "Cancel" }).click();
  await offer(bench).waitFor();
  await until(() => !execFileSync("ps", ["-eo", "args="], { encoding: "utf8" }).includes(bench.storage));
  assert.ok(!existsSync(path.join(bench.storage, "venv")));
};

function installs(links: string): Step {
  return async (bench) => {
    rmSync(links, { recursive: true });
    execFileSync("ln", ["-s", wheels, links]);
    await agree(bench);
    await bench.status("Pygent: idle");
    assert.ok(existsSync(path.join(bench.storage, "venv/bin/python")));
    await bench.chat.locator("textarea").press("Enter");
    await bench.chat.getByText("Brand new.").waitFor();
    await bench.picture(`installed-${bench.version.name}`);
  };
}

function offer(bench: Parameters<Step>[0]) {
  return bench.toast("server was not found").getByRole("button", { name: "Install for VS Code Only" });
}

async function agree(bench: Parameters<Step>[0]): Promise<void> {
  await offer(bench).click();
  await bench.page.locator(".monaco-dialog-box").getByRole("button", { name: "Install", exact: true }).click();
}
