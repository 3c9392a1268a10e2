// A real VS Code workbench in headless Chromium, with the packaged extension, the real server and a scripted model.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import type { test } from "node:test";
import { chromium, type Browser, type FrameLocator, type Locator, type Page } from "playwright-core";
import { address, BROWSER, CHROMIUM, CLIENT, fill, freePort, installExtensions, PYTHON, several, settingsFile, startCode, startModel, storage, type Options, type Request, type Version } from "./machine";
import { until } from "./until";

export { CLIENT, KEY, PYTHON, storage, VERSIONS, type Reply, type Request, type Version } from "./machine";
export { until };

export class Workbench {
  private constructor(
    readonly version: Version,
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
      args: [...BROWSER, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    });
    try {
      const model = await startModel(root, options.replies ?? [], processes);
      const port = await freePort();
      startCode(root, port, model, options, processes);
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
      await context.grantPermissions(["clipboard-read", "clipboard-write"]);
      const page = await context.newPage();
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
      const bench = new Workbench(options.version, page, workspace, root, browser, processes, complaints, url);
      await bench.load();
      return bench;
    } catch (error) {
      await browser.close();
      await end(processes, root);
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
    await end(this.processes, this.root);
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
      await this.page.locator(".quick-input-widget .quick-input-box input").fill(`>${title}`, { timeout: 10_000 });
      await row.click({ timeout: 10_000 });
      return true;
    }, 120_000);
  }

  /** A notification; one that VS Code holds back, as it shows three in 800 ms at most, is taken from behind the bell. */
  async notified(text: string | RegExp): Promise<Locator> {
    const item = this.page.locator(".notification-list-item:visible", { hasText: text }).first();
    await item.waitFor({ timeout: 5000 }).catch(() => this.page.locator("[id='status.notifications'] a").click());
    await item.waitFor();
    return item;
  }

  /** Write the prompt of a task. */
  async delegate(prompt: string): Promise<void> {
    await this.command("Pygent: Delegate Task");
    await this.page.locator(".quick-input-title", { hasText: "Delegate Task" }).waitFor(); // no longer the palette
    await this.page.locator(".quick-input-widget .quick-input-box input").fill(prompt);
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

  /** Install another extension while the workbench runs. */
  install(file: string): void {
    installExtensions(this.root, this.version, [file]);
  }

  /** Change settings of the machine while the workbench runs. */
  set(changed: Record<string, unknown>): void {
    const file = settingsFile(this.root);
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), ...changed }));
  }

  /** The extension's own folder. */
  get storage(): string {
    return storage(this.root);
  }

  /** Wait until Pygent's log is what is shown, and has a line with some text, which the view is asked for. */
  async logged(text: string): Promise<void> {
    const panel = this.page.locator(".part.panel");
    await until(() => panel.locator("select").last().evaluate((one: HTMLSelectElement) => one.selectedOptions[0]?.text === "Pygent"));
    await panel.getByPlaceholder(/^Filter/).fill(text);
    await until(async () => (await panel.locator(".output-view .view-lines").textContent())?.replaceAll("\u00a0", " ").includes(text));
  }

  /** All that VS Code and its extensions have written into their logs. */
  get logs(): string {
    const folder = path.join(this.root, "data/data/logs");
    const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".log"));
    return names.map((name) => readFileSync(path.join(folder, name), "utf8")).join("");
  }

  /** The requests that the model has got. */
  get requests(): Request[] {
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
  /** `pygent` in a shell of the same machine: it has the environment of the server. */
  shell(...words: string[]): ChildProcess {
    const pairs = readFileSync(`/proc/${this.servers()[0]}/environ`, "utf8").split("\0").filter(Boolean);
    const env = Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
    return spawn(PYTHON, ["-m", "pygent.cli", ...words], { cwd: this.workspace, env, stdio: "ignore" });
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

/** End what a workbench is made of, and leave nothing of it. */
async function end(processes: ChildProcess[], root: string): Promise<void> {
  for (const one of processes) one.kill("SIGTERM");
  const ended = processes.filter((one) => one.exitCode === null && one.signalCode === null);
  await Promise.all(ended.map((one) => new Promise((resolve) => one.once("exit", resolve))));
  await until(() => !alive(root).length); // a server that loses its client ends its turns first, and writes
  rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

/** The command lines of the processes that have a folder in theirs, or below their home. */
function alive(folder: string): string[] {
  return readdirSync("/proc").filter(Number).flatMap((pid) => {
    try {
      const [command = "", environment = ""] = ["cmdline", "environ"].map((name) => readFileSync(`/proc/${pid}/${name}`, "utf8"));
      return `${command}${environment}`.includes(folder) ? [command] : [];
    } catch {
      return []; // it has ended
    }
  });
}

export type Step = (bench: Workbench, t: Suite) => Promise<void>;
export interface Suite {
  test: typeof test;
  diagnostic: (text: string) => void;
}

/** Take steps in one workbench, each a test of its own; one that fails is the last, and a picture of it is kept. */
export async function steps(t: Suite, options: Options, all: Record<string, Step>): Promise<void> {
  const bench = await Workbench.open(options);
  try {
    for (const [name, step] of Object.entries(all)) {
      const outcome = { failed: true };
      await t.test(name, async (own) => {
        await step(bench, own);
        outcome.failed = false;
      });
      if (!outcome.failed) continue;
      return await bench.picture(`failed-${bench.version.name}-${name.replace(/\W+/g, "-")}`);
    }
  } finally {
    await bench.close();
  }
}
