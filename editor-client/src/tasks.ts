// The Tasks view: background agents as a live tree, and what can be done with each.
import * as vscode from "vscode";
import { plain } from "./asking";
import { report } from "./errors";
import type { Envelope, Task } from "./protocol";
import type { Server } from "./server";

const TICK = 1000; // milliseconds between looks at the clock while something runs
const LOOK = 5000; // and, while the view is seen, for what shells and other windows do with the folder's tasks
const LIVE = new Set<Task["status"]>(["queued", "running", "waiting"]);
const SHOWN = 100;

export class Tasks implements vscode.TreeDataProvider<Task>, vscode.Disposable {
  static readonly id = "pygent.views.tasks";
  private tasks = new Map<string, Task>();
  private readonly doing = new Map<string, string>();
  private readonly changed = new vscode.EventEmitter<Task | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly view: vscode.TreeView<Task>;
  private readonly disposables: vscode.Disposable[];
  private clock: NodeJS.Timeout | undefined;
  private readonly look = setInterval(() => this.view.visible && this.again(), LOOK);

  constructor(private readonly server: Server) {
    this.view = vscode.window.createTreeView(Tasks.id, { treeDataProvider: this });
    this.disposables = [
      this.view,
      this.changed,
      this.view.onDidChangeVisibility(({ visible }) => (visible ? this.again() : this.refresh())),
      server.onEvent((envelope) => this.heard(envelope)),
      server.onHealth((health) => health === "running" && void report(() => this.load())),
    ];
  }

  get selected(): Task | undefined {
    return this.view.selection[0];
  }
  get all(): Task[] {
    return [...this.tasks.values()].sort((a, b) => b.createdAt - a.createdAt);
  }

  find(id: string): Task | undefined {
    return this.tasks.get(id);
  }

  async load(): Promise<void> {
    const folders = vscode.workspace.workspaceFolders ?? [];
    const lists = await Promise.all(folders.map(({ uri }) => this.server.call("pygent.tasks", { folderUri: String(uri), limit: SHOWN })));
    this.tasks = new Map(lists.flatMap(({ tasks }) => tasks).map((task) => [task.id, task]));
    this.refresh();
  }

  private again(): void {
    if (this.server.health === "running") void this.load().catch(() => undefined); // a server that ends meanwhile is told elsewhere
  }

  forget(id: string): void {
    this.tasks.delete(id);
    this.refresh();
  }

  reveal(task: Task): Thenable<void> {
    return this.view.reveal(task, { select: true });
  }

  getChildren(task?: Task): Task[] {
    return task ? [] : this.all;
  }

  getParent(): undefined {
    return undefined;
  }

  getTreeItem(task: Task): vscode.TreeItem {
    return treeItem(task, this.doing.get(task.id));
  }

  dispose(): void {
    clearInterval(this.look);
    clearInterval(this.clock);
    this.disposables.forEach((one) => one.dispose());
  }

  private heard({ event, taskId }: Envelope): void {
    if (event.type === "taskChanged") this.update(event.task);
    else if (taskId && event.type === "toolStarted") {
      this.doing.set(taskId, event.title);
      this.changed.fire(this.tasks.get(taskId));
    }
  }

  update(task: Task): void {
    const before = this.tasks.get(task.id);
    this.tasks.set(task.id, task);
    this.refresh();
    if (!LIVE.has(task.status)) this.doing.delete(task.id);
    if (before && LIVE.has(before.status) && !LIVE.has(task.status) && task.status !== "cancelled") void announce(task);
  }

  private refresh(): void {
    this.changed.fire(undefined);
    const waiting = this.all.filter((task) => task.status === "waiting").length;
    this.view.badge = waiting ? { value: waiting, tooltip: vscode.l10n.t("{0} task(s) wait for you", waiting) } : undefined;
    clearInterval(this.clock);
    const ticks = this.view.visible && this.all.some((task) => LIVE.has(task.status));
    if (ticks) this.clock = setInterval(() => this.changed.fire(undefined), TICK);
  }
}

/** A task as a row; `doing` is the tool call that runs in it. */
export function treeItem(task: Task, doing?: string): vscode.TreeItem {
  const item = new vscode.TreeItem(task.title || task.prompt.slice(0, 60));
  const words = [WORDS[task.status](), ...facts(task, doing)].join(" · ");
  item.id = task.id;
  item.description = words;
  item.iconPath = icon(task.status);
  item.contextValue = `task ${LIVE.has(task.status) ? "live" : "ended"}${task.startedAt ? " changed" : ""}`;
  item.tooltip = tooltip(task, words);
  item.accessibilityInformation = { label: `${task.title}, ${words}` };
  item.command = { command: "pygent.ui.taskOpen", title: vscode.l10n.t("Open Task in Chat"), arguments: [task] };
  return item;
}

function facts(task: Task, doing?: string): string[] {
  const facts: string[] = [];
  if (task.queuePlace) facts.push(vscode.l10n.t("place {0}", task.queuePlace));
  if (task.startedAt) facts.push(elapsed((task.finishedAt ?? Date.now()) - task.startedAt));
  if (task.steps) facts.push(task.steps === 1 ? vscode.l10n.t("1 step") : vscode.l10n.t("{0} steps", task.steps));
  if (task.waitingFor) facts.push(task.waitingFor);
  else if (doing && task.status === "running") facts.push(doing);
  else if (task.changedFiles.length) facts.push(vscode.l10n.t("{0} file(s) changed", task.changedFiles.length));
  return facts;
}

function tooltip(task: Task, words: string): vscode.MarkdownString {
  const text = new vscode.MarkdownString(); // not trusted: no command links, no HTML
  text.appendText(task.prompt.slice(0, 1000));
  text.appendMarkdown("\n\n");
  text.appendText(`${task.persona.name} · ${words}`);
  for (const file of task.changedFiles.slice(0, 20)) text.appendText(`\n${file}`);
  if (task.error) text.appendText(`\n${task.error.message} ${task.error.fix ?? ""}`);
  return text;
}

/** Tell that a task ended, with what can be done now. */
async function announce(task: Task): Promise<void> {
  const show = vscode.l10n.t("Show Changes");
  const apply = vscode.l10n.t("Apply");
  const log = vscode.l10n.t("Show Log");
  const text = plain(vscode.l10n.t("Task “{0}”: {1}", task.title, [WORDS[task.status](), task.error?.message].filter(Boolean).join(": ")));
  const done = task.status === "completed";
  const chosen = done
    ? await vscode.window.showInformationMessage(text, show, apply)
    : await vscode.window.showWarningMessage(text, show, log);
  if (chosen === show) await vscode.commands.executeCommand("pygent.ui.taskDiff", task);
  else if (chosen === apply) await vscode.commands.executeCommand("pygent.ui.taskApply", task);
  else if (chosen === log) await vscode.commands.executeCommand("pygent.ui.taskLog", task);
}

function elapsed(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function icon(status: Task["status"]): vscode.ThemeIcon {
  const [id, colour] = ICONS[status];
  return new vscode.ThemeIcon(id, colour ? new vscode.ThemeColor(colour) : undefined);
}

const ICONS: Record<Task["status"], [string, string?]> = {
  queued: ["clock"],
  running: ["loading~spin"],
  waiting: ["bell-dot", "notificationsWarningIcon.foreground"],
  completed: ["pass", "testing.iconPassed"],
  failed: ["error", "testing.iconFailed"],
  cancelled: ["circle-slash"],
  timedOut: ["watch", "testing.iconFailed"],
  interrupted: ["debug-disconnect", "notificationsWarningIcon.foreground"],
};
const WORDS: Record<Task["status"], () => string> = {
  queued: () => vscode.l10n.t("queued"),
  running: () => vscode.l10n.t("running"),
  waiting: () => vscode.l10n.t("waiting for you"),
  completed: () => vscode.l10n.t("completed"),
  failed: () => vscode.l10n.t("failed"),
  cancelled: () => vscode.l10n.t("cancelled"),
  timedOut: () => vscode.l10n.t("timed out"),
  interrupted: () => vscode.l10n.t("interrupted"),
};
