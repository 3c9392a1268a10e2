// The chat's page alone in Chromium, loaded anew for each test: what the extension tells it, and what it says back.
import * as path from "node:path";
import { after, afterEach, before, beforeEach } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { BROWSER, CHROMIUM, CLIENT } from "./machine";
import type { Approval, Envelope, Event, Task, Usage } from "../src/protocol";
import type { ToHost, ToPage } from "../src/view/messages";

let browser: Browser;
export let page: Page;
before(async () => void (browser = await chromium.launch({ executablePath: CHROMIUM, args: BROWSER })));
after(() => browser.close());
afterEach(() => page.close());
beforeEach(() => load());

/** Load the page anew, in the language of some texts. */
export async function load(texts: Record<string, string> = {}): Promise<void> {
  page = await browser.newPage({ viewport: { width: 420, height: 700 } });
  await page.setContent("<!DOCTYPE html><body></body>");
  await page.evaluate((all) => (document.body.dataset.l10n = JSON.stringify(all)), texts);
  await page.addStyleTag({ path: path.join(CLIENT, "dist/chat.css") });
  await page.evaluate(() => {
    const said: unknown[] = [];
    Object.assign(window, { said, acquireVsCodeApi: () => ({ postMessage: (message: unknown) => said.push(message) }) });
  });
  await page.addScriptTag({ path: path.join(CLIENT, "dist/chat.js") });
}

/** The extension says something. */
export async function tell(...messages: ToPage[]): Promise<void> {
  await page.evaluate(async (all) => {
    for (const one of all) {
      window.dispatchEvent(new MessageEvent("message", { data: one }));
      await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    }
  }, messages);
}

/** What the page has said since it was last asked, without the drafts that each key makes. */
export async function said(): Promise<ToHost[]> {
  const all = await page.evaluate(() => (window as unknown as { said: ToHost[] }).said.splice(0));
  return all.filter(({ type }) => type !== "draft" && type !== "ready");
}

let seq = 0;
export function event(event: Event, more: Partial<Envelope> = {}): ToPage {
  return { type: "event", envelope: { sessionId: "s", turnId: "t", seq: ++seq, time: 0, ...more, event } as Envelope };
}
export const usage: Usage = { promptTokens: 900, completionTokens: 100 };
export const started = () => event({ type: "turnStarted", text: "Hello" });
export const speaks = (text: string) => event({ type: "message", itemId: "m", role: "assistant", text });
export const approval: Approval = { id: "a", sessionId: "s", kind: "command", title: "Run a command", detail: "ls", command: "ls", isolation: "local" };
export const task: Task = {
  ...{ id: "k", title: "Tidy up", prompt: "Tidy up", status: "running", persona: { name: "Ada" }, sessionId: "ks" },
  ...{ createdAt: 0, workspace: "/", steps: 1, usage, changedFiles: [] },
};
export const text = (selector: string) => page.locator(selector).allInnerTexts();
