// Runs in the extension host, beside the extension: what it asks of VS Code and of its server, with no page between.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { attachment, insert, selection } from "../src/editor";
import { Interpreters } from "../src/interpreters";
import { basePython, locate } from "../src/locate";
import type { Commands, Task } from "../src/protocol";
import { Server } from "../src/server";
import { asksInANotification, asksUntilCancelled, offersToAllowOnlyWhatItShows, opensLinks, showsTasks, tellsRefusals } from "./parts";
import { until } from "./until";

const { PYGENT_HOST_RESULTS = "", PYGENT_HOST_PYTHON = "", PYGENT_HOST_BIN = "" } = process.env;
const STEPS = {
  ...{ activates, keepsFoldersApart, followsSettings, actsOnTasks, comparesTasks, attaches, inserts, offersCodeActions },
  ...{ asksInANotification, offersToAllowOnlyWhatItShows, asksUntilCancelled, tellsRefusals, showsTasks, opensLinks },
  ...{ startsTheLast, runsNothingOfTheFolder, discovers, refusesAnother },
};

/** What VS Code calls; each step's outcome is a line of the results. */
export async function run(): Promise<void> {
  for (const [name, step] of Object.entries(STEPS)) {
    let error: string | undefined;
    try {
      await step();
    } catch (thrown) {
      error = thrown instanceof Error ? thrown.stack : String(thrown);
    }
    appendFileSync(PYGENT_HOST_RESULTS, `${JSON.stringify({ name, error })}\n`);
  }
  appendFileSync(PYGENT_HOST_RESULTS, `${JSON.stringify({ name: "end" })}\n`);
}

/** A command of the server, as VS Code has it from the extension's client. */
function call<Name extends keyof Commands>(name: Name, args: Commands[Name]["arguments"]): Thenable<Commands[Name]["result"]> {
  return vscode.commands.executeCommand(name, args);
}

function folder(index: number): vscode.Uri {
  const found = vscode.workspace.workspaceFolders?.[index];
  assert.ok(found);
  return found.uri;
}

async function shop(): Promise<vscode.TextEditor> {
  return vscode.window.showTextDocument(vscode.Uri.joinPath(folder(0), "shop.py"));
}

async function set(name: string, value: unknown): Promise<void> {
  await vscode.workspace.getConfiguration("pygent").update(name, value, vscode.ConfigurationTarget.Workspace);
}

async function activates(): Promise<void> {
  const extension = vscode.extensions.getExtension("pygent.pygent");
  await extension?.activate();
  assert.ok(extension?.isActive);
  const { contributes } = extension.packageJSON as { contributes: { commands: { command: string }[] } };
  const registered = new Set(await vscode.commands.getCommands(true));
  assert.deepEqual(contributes.commands.filter(({ command }) => !registered.has(command)), []);
  await until(async () => (await vscode.commands.getCommands(true)).includes("pygent.session.events"));
}

async function discovers(): Promise<void> {
  const storage = vscode.Uri.file(path.join(PYGENT_HOST_BIN, "storage"));
  const interpreters = new Interpreters();
  const program = (name: string, text: string) => {
    const file = path.join(PYGENT_HOST_BIN, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const server = (name: string) => program(name, `exec '${PYGENT_HOST_PYTHON}' -m pygent.lsp "$@"`);
  const python = (name: string) => program(name, `exec '${PYGENT_HOST_PYTHON}' "$@"`);
  const found = async () => (await locate(storage, interpreters)).origin;
  const { PATH = "" } = process.env;
  try {
    const onPath = server("pygent-server");
    process.env.PATH = `${PYGENT_HOST_BIN}:${PATH}`;
    await set("interpreter", python("interpreter"));
    await set("server.command", `"${server("given")}"`);
    assert.match((await locate(storage, interpreters)).command, /given$/);
    assert.match((await locate(storage, interpreters)).version, /^\d+\.\d+/);
    assert.equal(await found(), "pygent.server.command");
    await set("server.command", []);
    assert.equal(await found(), "pygent.interpreter");
    await set("interpreter", path.join(PYGENT_HOST_BIN, "nowhere"));
    await assert.rejects(locate(storage, interpreters), /^Error: pygent\.interpreter: .*nowhere/, "a wrong setting is not passed over");
    await set("interpreter", undefined);
    assert.equal(await found(), "PATH");
    rmSync(onPath);
    await assert.rejects(locate(storage, interpreters), /^Error: PATH: pygent-server/);
  } finally {
    interpreters.dispose();
    process.env.PATH = PATH;
    await set("interpreter", undefined);
    await set("server.command", undefined);
  }
}

/** However fast the settings change, one server runs in the end, and it is the one that they name. */
/** The command lines of the servers that this host has started and that run. */
function running(): string[] {
  const listed = execFileSync("ps", ["-o", "args=", "--ppid", String(process.pid)], { encoding: "utf8" });
  return listed.split("\n").filter((line) => line.includes("-m pygent.lsp"));
}

async function startsTheLast(): Promise<void> {
  const [before] = running();
  for (const name of ["first", "second", "third"]) {
    await set("server.command", [PYGENT_HOST_PYTHON, "-m", "pygent.lsp", "--log-file", path.join(PYGENT_HOST_BIN, `${name}.log`)]);
  }
  const onlyThird = () => running().length === 1 && running()[0]?.includes("third.log");
  await until(onlyThird);
  await until(async () => call("pygent.tasks", {}));
  assert.ok(onlyThird(), running().join());
  await set("server.command", undefined);
  await until(() => running().length === 1 && running()[0] === before);
  await until(async () => call("pygent.tasks", {}));
}

/** Python's `-m` imports from where it is started: modules in the folder take the place of the server's and Python's own. */
async function runsNothingOfTheFolder(): Promise<void> {
  const ran = path.join(PYGENT_HOST_BIN, "ran");
  const root = folder(0).fsPath;
  const modules = ["pygent.py", "pygls.py", "lsprotocol.py", "json.py", "typing.py", "venv.py", "sitecustomize.py", "usercustomize.py"];
  for (const name of modules) writeFileSync(path.join(root, name), `open(${JSON.stringify(ran)}, "a").write(__name__ + "\\n")\n`);
  const { PYTHONPATH } = process.env;
  const interpreters = new Interpreters();
  const storage = vscode.Uri.file(path.join(PYGENT_HOST_BIN, "storage"));
  try {
    process.env.PYTHONPATH = ".:";
    await set("server.command", [PYGENT_HOST_PYTHON, "-m", "pygent.lsp", "--log-file", path.join(PYGENT_HOST_BIN, "hostile.log")]);
    await until(() => running().length === 1 && running()[0]?.includes("hostile.log"));
    await until(async () => call("pygent.tasks", {}));
    await set("server.command", []);
    await set("interpreter", PYGENT_HOST_PYTHON);
    assert.equal((await locate(storage, interpreters)).origin, "pygent.interpreter");
    await basePython(interpreters, storage);
    assert.equal(existsSync(ran) ? readFileSync(ran, "utf8") : "", "");
  } finally {
    if (PYTHONPATH === undefined) delete process.env.PYTHONPATH;
    else process.env.PYTHONPATH = PYTHONPATH;
    interpreters.dispose();
    for (const name of modules) rmSync(path.join(root, name));
    await set("interpreter", undefined);
    await set("server.command", undefined);
  }
}

/** A server of a later protocol: the real one, with its answer changed on the way. */
async function refusesAnother(): Promise<void> {
  const script = path.join(PYGENT_HOST_BIN, "later.py");
  writeFileSync(script, LATER);
  await set("server.command", [PYGENT_HOST_PYTHON, script]);
  const nobody = { approve: () => Promise.reject(new Error()), ask: () => Promise.reject(new Error()) };
  const server = new Server(vscode.Uri.file(PYGENT_HOST_BIN), nobody);
  try {
    await assert.rejects(server.start(), /pygent-server 9\.0 speaks protocol 2 and this extension speaks 1: update/);
    assert.equal(server.health, "failed");
    await assert.rejects(server.call("pygent.tasks", {}), /does not run/);
  } finally {
    await server.stop();
    server.dispose();
    await set("server.command", undefined);
  }
}
const LATER = `
import json, sys
if "--version" in sys.argv:
    sys.exit(print("pygent-server 9.0"))
while line := sys.stdin.buffer.readline():
    length = int(line.split(b":")[1]); sys.stdin.buffer.readline()
    message = json.loads(sys.stdin.buffer.read(length))
    if "id" in message:
        result = {"serverInfo": {"name": "pygent-server", "version": "9.0"},
                  "capabilities": {"experimental": {"pygent": {"protocol": 2}}}}
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body); sys.stdout.buffer.flush()
    if message.get("method") == "exit":
        break
`;

async function keepsFoldersApart(): Promise<void> {
  assert.equal(vscode.workspace.workspaceFolders?.length, 2);
  const [first, second] = [String(folder(0)), String(folder(1))];
  const shown = async (folderUri: string) => (await call("pygent.config.show", { folderUri })).values;
  await until(async () => (await shown(first)).model?.value === "of-the-shop");
  assert.equal((await shown(second)).model?.value, "of-the-other");
  const { session } = await call("pygent.session.new", { folderUri: second });
  const sessions = async (folderUri: string) => (await call("pygent.session.list", { folderUri })).sessions.map(({ id }) => id);
  assert.deepEqual(await sessions(second), [session.id]);
  assert.ok(!(await sessions(first)).includes(session.id));
  await call("pygent.workspace.trust", { folderUri: second, trusted: false });
  assert.equal((await shown(second)).max_tasks?.value, 3, "a folder that is not trusted can't raise it");
  assert.equal((await shown(first)).max_tasks?.value, 5, "and the trust of the other one stays");
}

/** `pygent.config` counts from the moment it is changed, with no restart. */
async function followsSettings(): Promise<void> {
  const folderUri = String(folder(0));
  const model = async () => (await call("pygent.config.show", { folderUri })).values.model?.value;
  await set("config", { model: "of-the-editor" });
  await until(async () => (await model()) === "of-the-editor");
  await set("config", undefined);
  await until(async () => (await model()) === "of-the-shop");
}

/** What a task has made and changed, as the two sides of a comparison. */
async function comparesTasks(): Promise<void> {
  await vscode.commands.executeCommand("pygent.ui.delegate", "Change two files");
  const task = await until(async () => {
    const { tasks } = await call("pygent.tasks", {});
    return tasks.find(({ title, status }) => title.startsWith("Change two") && status === "completed");
  });
  await vscode.commands.executeCommand("pygent.ui.taskDiff", task.id);
  const side = async (name: string, which: string) =>
    (await vscode.workspace.openTextDocument(vscode.Uri.from({ scheme: "pygent-file", path: `/${name}`, query: `${task.id}&${which}` }))).getText();
  await until(() => vscode.window.tabGroups.activeTabGroup.activeTab?.label.includes("(changes of the task)"));
  assert.deepEqual([...task.changedFiles].sort(), ["made.txt", "shop.py"]);
  assert.equal(await side("made.txt", "after"), "made\n");
  assert.match(await side("shop.py", "before"), /return 42/);
  assert.match(await side("shop.py", "after"), /return 43/);
  assert.match((await shop()).document.getText(), /return 42/, "the folder is as it was");
}

async function actsOnTasks(): Promise<void> {
  const task = async (id: string) => (await call("pygent.task.get", { taskId: id })).task;
  const reaches = (id: string, status: Task["status"]) => until(async () => (await task(id)).status === status);
  await vscode.commands.executeCommand("pygent.ui.tasks");
  await vscode.commands.executeCommand("pygent.ui.delegate", "Ask first");
  const begun = await until(async () => (await call("pygent.tasks", {})).tasks[0]);
  await reaches(begun.id, "waiting"); // the page looks at the badge, then denies
  await reaches(begun.id, "completed");
  await vscode.commands.executeCommand("pygent.ui.taskLog", begun.id);
  await until(() => vscode.window.activeTextEditor?.document.getText().includes("So I asked."));
  await vscode.commands.executeCommand("pygent.ui.taskRetry", begun.id);
  const again = await until(async () => (await call("pygent.tasks", { status: "waiting" })).tasks[0]);
  await vscode.commands.executeCommand("pygent.ui.taskCancel", again.id);
  await reaches(again.id, "cancelled");
  const original = vscode.window.showWarningMessage;
  const told: string[] = [];
  const answering = (answer: (items: string[]) => string | undefined) => {
    vscode.window.showWarningMessage = ((text: string, _: unknown, ...items: string[]) => {
      told.push(text);
      return Promise.resolve(answer(items));
    });
    return vscode.commands.executeCommand("pygent.ui.taskDelete", again.id);
  };
  try {
    await answering(() => undefined);
    assert.ok(await task(again.id), "nothing is deleted unless the person says so");
    await answering((items) => items[0]);
  } finally {
    vscode.window.showWarningMessage = original;
  }
  assert.deepEqual(told, Array(2).fill(`Delete “${again.title}”?`));
  assert.ok(!(await call("pygent.tasks", {})).tasks.some(({ id }) => id === again.id));
}

async function attaches(): Promise<void> {
  const editor = await shop();
  const uri = String(editor.document.uri);
  editor.selection = new vscode.Selection(0, 4, 2, 0);
  assert.deepEqual(selection(editor), await attachment("selection"));
  const range = { start: { line: 0, character: 0 }, end: { line: 1, character: 13 } };
  assert.deepEqual(selection(editor), { label: "shop/shop.py:1–2", uri, range });
  editor.selection = new vscode.Selection(1, 0, 1, 0);
  assert.deepEqual(await attachment("selection"), { label: "shop/shop.py", uri });
  const found = vscode.languages.createDiagnosticCollection("test");
  found.set(editor.document.uri, [new vscode.Diagnostic(new vscode.Range(1, 4, 1, 10), "it adds nothing")]);
  const diagnostics = [{ message: "it adds nothing", range: { start: { line: 1, character: 4 }, end: { line: 1, character: 10 } } }];
  assert.deepEqual(await attachment("problems"), { label: "shop/shop.py: 1 problem(s)", uri, diagnostics });
  found.dispose();
  assert.equal(await attachment("problems"), undefined);
}

async function inserts(): Promise<void> {
  const editor = await shop();
  const before = editor.document.getText();
  editor.selection = new vscode.Selection(1, 11, 1, 13);
  await insert("sum(prices)");
  assert.equal(editor.document.lineAt(1).text, "    return sum(prices)");
  await vscode.commands.executeCommand("undo");
  assert.equal(editor.document.getText(), before);
  assert.equal(readFileSync(editor.document.fileName, "utf8"), before, "nothing is saved");
}

async function offersCodeActions(): Promise<void> {
  const { document } = await shop();
  const range = new vscode.Range(0, 0, 1, 13);
  const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>("vscode.executeCodeActionProvider", document.uri, range);
  const explain = actions.find(({ title }) => title === "Explain with Pygent")?.command;
  assert.ok(explain);
  const given: unknown[] = explain.arguments ?? [];
  await vscode.commands.executeCommand(explain.command, ...given);
  const { sessions } = await call("pygent.session.list", { folderUri: String(folder(0)) });
  const read = await Promise.all(sessions.map(({ id }) => call("pygent.session.events", { sessionId: id })));
  assert.match(JSON.stringify(read), /It gives nothing back/);
  assert.ok(existsSync(document.fileName));
}
