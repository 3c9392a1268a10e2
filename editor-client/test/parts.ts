// Parts of the extension in a real extension host, each asked directly: what VS Code is given to show.
import assert from "node:assert/strict";
import * as path from "node:path";
import * as vscode from "vscode";
import { Asking, plain } from "../src/asking";
import { openLink, openUri } from "../src/editor";
import { report } from "../src/errors";
import type { Approval, Task } from "../src/protocol";
import { treeItem } from "../src/tasks";
import { until } from "./until";

type Shown = { text: string; items: string[]; press: (item?: string) => void };

/** Take the notifications that are shown meanwhile, to press their buttons. */
async function notified(act: (shown: Shown[]) => Promise<void>): Promise<void> {
  const { window } = vscode;
  const kinds = ["showInformationMessage", "showWarningMessage", "showErrorMessage"] as const;
  const originals = kinds.map((kind) => window[kind]);
  const shown: Shown[] = [];
  const show = (text: string, ...items: string[]) => new Promise<string | undefined>((press) => shown.push({ text, items, press }));
  for (const kind of kinds) window[kind] = show as unknown as typeof window.showErrorMessage;
  try {
    await act(shown);
  } finally {
    kinds.forEach((kind, at) => (window[kind] = originals[at] as unknown as typeof window.showErrorMessage));
  }
}

const approval = (id: string, more: Partial<Approval> = {}): Approval => ({
  ...{ id, sessionId: "s", kind: "command", title: "Run a command", detail: "ls", command: "ls", isolation: "bubblewrap" },
  ...more,
});
const never = new vscode.CancellationTokenSource().token;

export async function asksInANotification(): Promise<void> {
  await notified(async (shown) => {
    const asking = new Asking();
    const first = asking.approve(approval("1"), never);
    assert.equal(asking.waiting.length, 1, "the chat shows it, too");
    assert.deepEqual(shown.map(({ text, items }) => [text, items]), [["Pygent (bubblewrap): Run a command: ls", ["Allow", "Allow for Session", "Deny"]]]);
    shown[0]?.press("Allow for Session");
    assert.deepEqual(await first, { decision: "acceptForSession" });

    const hostile = { title: "Run [this](command:x)", detail: "y".repeat(700), isolation: "local", background: true } as const;
    const second = asking.approve(approval("2", hostile), never);
    assert.equal(shown[1]?.text, "Pygent (no sandbox, in the background): Run [this] (command:x) (the whole is in the chat)");
    assert.deepEqual(shown[1].items, ["Show in Chat", "Deny"], "what is not shown can't be allowed");
    assert.ok(asking.answer("2", { decision: "decline", feedback: "no" }));
    assert.deepEqual(await second, { decision: "decline", feedback: "no" });
    shown[1].press("Allow");
    await until(() => shown.some(({ text }) => text.startsWith("That was answered already")));
    assert.ok(!asking.answer("2", { decision: "accept" }), "once is enough");
  });
}

export async function offersToAllowOnlyWhatItShows(): Promise<void> {
  const odd = ["a\nb", "a\tb", "a  b", " a", "a ", "[a](command:b)", "y".repeat(601)];
  await notified((shown) => {
    const asking = new Asking();
    for (const detail of odd) void asking.approve(approval(detail, { detail, command: detail }), never);
    void asking.approve(approval("diff", { kind: "edit", detail: "a.py", diff: "+++ x\n" }), never);
    void asking.approve(approval("spelt", { detail: "te\\u{200b}st", command: "te\u200bst" }), never);
    const spelt = shown.pop();
    assert.ok(shown.every(({ items }) => items.join() === "Show in Chat,Deny"));
    assert.equal(shown.length, odd.length + 1);
    assert.equal(spelt?.text, "Pygent (bubblewrap): Run a command: te\\u{200b}st");
    assert.equal(spelt.items[0], "Allow");
    asking.clear();
    return Promise.resolve();
  });
}

export async function asksUntilCancelled(): Promise<void> {
  await notified(async (shown) => {
    const asking = new Asking();
    const settled: string[] = [];
    asking.onSettled((id) => settled.push(id));
    const source = new vscode.CancellationTokenSource();
    const cancelled = asking.approve(approval("1"), source.token);
    const question = asking.ask({ id: "2", sessionId: "s", prompt: "Which?", options: ["red", "green"] }, never);
    const closed = asking.ask({ id: "3", sessionId: "s", prompt: "Why?" }, never);
    source.cancel();
    assert.deepEqual(await cancelled, { decision: "decline" });
    assert.deepEqual(shown[1]?.items, ["red", "green"]);
    shown[1].press("green");
    assert.deepEqual(await question, { answer: "green" });
    shown[2]?.press(undefined); // the notification is closed, and the chat still asks
    assert.deepEqual(asking.waiting.map((one) => one.kind), ["question"]);
    asking.clear();
    assert.deepEqual(await closed, { answer: null });
    assert.deepEqual(settled, ["1", "2", "3"]);
  });
}

export async function tellsRefusals(): Promise<void> {
  await notified(async (shown) => {
    const refused = Object.assign(new Error("It broke [here](command:x)."), { data: { fix: "Mend it." } });
    assert.equal(await report(() => Promise.reject(refused)), undefined);
    assert.equal(await report(() => Promise.reject(new vscode.CancellationError())), undefined);
    assert.equal(await report(() => Promise.reject(Object.assign(new Error("cancelled"), { code: -32800 }))), undefined);
    assert.equal(await report(() => 42), 42);
    assert.deepEqual(shown.map(({ text, items }) => [text, items]), [["It broke [here] (command:x). Mend it.", ["Show Log"]]]);
    assert.equal(plain("[a](command:b)[c](d)"), "[a] (command:b)[c] (d)");
  });
}

export function showsTasks(): void {
  const [startedAt, finishedAt] = [1_000_000, 1_000_000 + 3_725_000];
  const task: Task = {
    ...{ id: "k", title: "Tidy up", prompt: "Tidy [up](command:x)", status: "queued", persona: { name: "Ada" }, sessionId: "s" },
    ...{ createdAt: 0, workspace: "/", steps: 0, usage: { promptTokens: 0, completionTokens: 0 }, changedFiles: [] },
  };
  const row = (more: Partial<Task>, doing?: string) => {
    const { description, contextValue, iconPath } = treeItem({ ...task, ...more }, doing);
    return [description, contextValue, (iconPath as vscode.ThemeIcon).id];
  };
  const ended = { startedAt, finishedAt, steps: 1 };
  assert.deepEqual(row({ queuePlace: 3 }), ["queued · place 3", "task live", "clock"]);
  const now = Date.now();
  assert.match(String(row({ status: "running", startedAt: now - 61_000, steps: 2 }, "$ ls")[0]), /^running · 1 min [1-9] s · 2 steps · \$ ls$/);
  assert.deepEqual(row({ ...ended, status: "waiting", waitingFor: "consent" }, "$ ls")[0], "waiting for you · 1 h 2 min · 1 step · consent");
  assert.deepEqual(row({ ...ended, status: "completed", changedFiles: ["a", "b"] }), ["completed · 1 h 2 min · 1 step · 2 file(s) changed", "task ended changed", "pass"]);
  const icons = (["failed", "cancelled", "timedOut", "interrupted"] as const).map((status) => row({ status }));
  assert.deepEqual(icons, [
    ["failed", "task ended", "error"],
    ["cancelled", "task ended", "circle-slash"],
    ["timed out", "task ended", "watch"],
    ["interrupted", "task ended", "debug-disconnect"],
  ]);
  const item = treeItem({ ...task, title: "", status: "failed", error: { code: "x", message: "It broke.", fix: "Mend it." } });
  assert.deepEqual([item.label, item.accessibilityInformation?.label], ["Tidy [up](command:x)", ", failed"]);
  const { value, isTrusted, supportHtml } = item.tooltip as vscode.MarkdownString;
  assert.ok(!isTrusted && !supportHtml);
  assert.match(value, /broke\.[^]*Mend/);
  assert.doesNotMatch(value, /\[up\]\(command/);
}

export async function opensLinks(): Promise<void> {
  const root = vscode.workspace.workspaceFolders?.[0]?.uri;
  assert.ok(root);
  const shop = vscode.Uri.joinPath(root, "shop.py");
  const shown = () => [path.basename(vscode.window.activeTextEditor?.document.fileName ?? ""), vscode.window.activeTextEditor?.selection.start.line];
  for (const [link, line] of [["shop.py:2", 1], ["./shop.py#L1", 0], [`${String(shop)}:2`, 1], [`${shop.path}#L1`, 0]] as const) {
    await openLink(link);
    assert.deepEqual(shown(), ["shop.py", line], link);
  }
  const documents = vscode.workspace.textDocuments.length;
  for (const link of ["command:workbench.action.files.newUntitledFile", "javascript:alert(1)", "vscode://file/etc/passwd", "data:text/html,x", "", "#L1"]) {
    await openLink(link);
  }
  assert.equal(vscode.workspace.textDocuments.length, documents, "nothing is opened");
  for (const link of ["/etc/passwd", "../elsewhere.txt", "file:///etc/passwd", "shop.py/../../../etc/passwd"]) {
    await assert.rejects(openLink(link), /is not a file of this workspace/, link);
  }
  for (const uri of ["untitled:x", "https://example.com/x", "file:///etc/passwd"]) await assert.rejects(openUri(uri), /is not a file of this workspace/);
}
