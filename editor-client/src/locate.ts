// Where the server is: the settings first, then the active Python environment, then PATH, then our own one.
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import * as vscode from "vscode";
import type { Interpreters } from "./interpreters";

const run = promisify(execFile);
const PATIENCE = 20_000; // milliseconds for a program to say its version
const windows = process.platform === "win32";

/** A way to start the server, and where it was found. */
export interface Found {
  command: string;
  args: string[];
  origin: string;
  version: string;
}

/** Why no server could be found: what was tried, each with what it said. */
export class NotFound extends Error {}

type Candidate = Omit<Found, "version">;

/** The first way to start a server that answers with its version.  Throws NotFound. */
export async function locate(storage: vscode.Uri, interpreters: Interpreters): Promise<Found> {
  const tried: string[] = [];
  const cwd = await neutral(storage);
  for await (const candidate of candidates(storage, interpreters)) {
    try {
      const { stdout } = await run(candidate.command, [...candidate.args, "--version"], { cwd, timeout: PATIENCE });
      return { ...candidate, version: stdout.trim().replace(/^pygent-server\s+/, "") };
    } catch (error) {
      const line = [candidate.command, ...candidate.args].join(" ");
      const { stderr, message } = error as Error & { stderr?: string };
      tried.push(`${candidate.origin}: ${line}: ${(stderr || message).trim().split("\n").at(-1) ?? ""}`);
      if (candidate.origin.startsWith("pygent.")) break; // a setting that is wrong is not passed over
    }
  }
  throw new NotFound(tried.join("\n"));
}

/**
 * The folder that every program is started in: the extension's own.  `python -m` imports from where it is started,
 * and a search path may have entries that are relative to it: in the workspace both would run the workspace's files.
 */
export async function neutral(storage: vscode.Uri): Promise<string> {
  await vscode.workspace.fs.createDirectory(storage);
  return storage.fsPath;
}

async function* candidates(storage: vscode.Uri, interpreters: Interpreters): AsyncGenerator<Candidate> {
  const settings = vscode.workspace.getConfiguration("pygent");
  const given = settings.get<string | string[]>("server.command", []);
  const [command, ...args] = (typeof given === "string" ? words(given) : given).map(expanded);
  if (command) yield { command: program(command), args, origin: "pygent.server.command" };
  const interpreter = expanded(settings.get<string>("interpreter", ""));
  if (interpreter) yield python(program(interpreter), "pygent.interpreter");
  const active = await interpreters.active();
  if (active) yield python(active, vscode.l10n.t("active Python environment"));
  yield { command: "pygent-server", args: [], origin: "PATH" };
  const own = privatePython(storage);
  if (existsSync(own)) yield python(own, vscode.l10n.t("private environment"));
}

/** The words of a command line; quotes hold one together. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? "");
}

/** A program of the settings: a relative path is one in the workspace, a bare name is looked for on PATH. */
function program(command: string): string {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  return folder && /[/\\]/.test(command) ? path.resolve(folder, command) : command;
}

function python(command: string, origin: string): Candidate {
  return { command, args: ["-m", "pygent.lsp"], origin };
}

function expanded(text: string): string {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  return text.replace(/^~(?=[/\\]|$)/, homedir()).replaceAll("${workspaceFolder}", folder);
}

export const INSTALL_COMMAND = "python3 -m pip install pygent-server";

function privatePlace(storage: vscode.Uri): string {
  return path.join(storage.fsPath, "venv");
}

/** The Python of the extension's own environment, there or not. */
export function privatePython(storage: vscode.Uri): string {
  return path.join(privatePlace(storage), windows ? "Scripts/python.exe" : "bin/python");
}

/** A Python that can run the server, for an environment of our own. */
export async function basePython(interpreters: Interpreters, storage: vscode.Uri): Promise<string | undefined> {
  const cwd = await neutral(storage);
  for (const name of [await interpreters.active(), "python3.13", "python3.12", "python3.11", "python3.10", "python3", "python"]) {
    try {
      if (!name) continue;
      await run(name, ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"], { cwd, timeout: PATIENCE });
      return name;
    } catch {
      // not this one
    }
  }
  return undefined;
}

/** Install the server into an environment of the extension's own; leaves none behind if it fails.  Throws what pip said. */
export async function install(base: string, storage: vscode.Uri, log: vscode.LogOutputChannel, signal: AbortSignal): Promise<void> {
  const place = privatePlace(storage);
  const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "pygent-server"];
  try {
    const cwd = await neutral(storage);
    for (const [program, ...args] of [[base, "-m", "venv", "--clear", place], [privatePython(storage), ...pip]] as const) {
      log.info([program, ...args].join(" "));
      log.info(await runToEnd(program, args, cwd, signal));
    }
  } catch (error) {
    await rm(place, { recursive: true, force: true, maxRetries: 5 });
    if (signal.aborted) throw new vscode.CancellationError();
    const { message } = error as Error;
    log.error(message);
    const lines = message.trim().split("\n");
    const why = lines.findLast((line) => line.startsWith("ERROR: ")) ?? lines.at(-1) ?? "";
    throw new Error(vscode.l10n.t("Pygent's server could not be installed: {0}", why.replace("ERROR: ", "")), { cause: error });
  }
}

/** What a program says until its end; `signal` ends it and all that it has started.  Throws what it said. */
function runToEnd(program: string, args: string[], cwd: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const child = spawn(program, args, { cwd, detached: !windows, stdio: ["ignore", "pipe", "pipe"] });
    const end = () => (windows ? child.kill() : child.pid && process.kill(-child.pid));
    signal.addEventListener("abort", end);
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (said += data.toString()));
    child.once("error", reject);
    child.once("close", (code) => {
      signal.removeEventListener("abort", end);
      if (code === 0) resolve(said);
      else reject(new Error(said || `${program}: ${code ?? ""}`));
    });
  });
}
