// What a task changed, in VS Code's own diff editor, and its log as a document that grows.
import * as vscode from "vscode";
import type { Envelope, Task } from "./protocol";
import type { Server } from "./server";

const FILE = "pygent-file";
const LOG = "pygent-log";
const PAUSE = 300; // milliseconds in which further events make no further reading of a log

export class Changes implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly disposables: vscode.Disposable[];
  private readonly timers = new Map<string, NodeJS.Timeout>();

  constructor(private readonly server: Server) {
    this.disposables = [
      vscode.workspace.registerTextDocumentContentProvider(FILE, this),
      vscode.workspace.registerTextDocumentContentProvider(LOG, this),
      server.onEvent((envelope) => this.heard(envelope)),
    ];
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    if (uri.scheme === LOG) {
      const { text } = await this.server.call("pygent.session.export", { sessionId: uri.query, format: "md" });
      return text;
    }
    const [taskId = "", side] = uri.query.split("&");
    const which = { taskId, path: uri.path.slice(1), side: side === "before" ? "before" : "after" } as const;
    return (await this.server.call("pygent.task.file", which)).text;
  }

  /** Open a task's changes; false if there are none. */
  async show(task: Task): Promise<boolean> {
    const { files } = await this.server.call("pygent.task.diff", { taskId: task.id });
    const title = vscode.l10n.t("{0} (changes of the task)", task.title);
    const at = (path: string, side: string) => vscode.Uri.from({ scheme: FILE, path: `/${path}`, query: `${task.id}&${side}` });
    for (const { path } of files) ["before", "after"].forEach((side) => this.changed.fire(at(path, side)));
    const [only] = files;
    if (!only) return false;
    if (files.length === 1) {
      await vscode.commands.executeCommand("vscode.diff", at(only.path, "before"), at(only.path, "after"), `${only.path} – ${title}`);
      return true;
    }
    const sides = files.map(({ path, kind }) => [
      at(path, kind === "deleted" ? "before" : "after"),
      kind === "created" ? undefined : at(path, "before"),
      kind === "deleted" ? undefined : at(path, "after"),
    ]);
    await vscode.commands.executeCommand("vscode.changes", title, sides);
    return true;
  }

  /** Open a task's log beside. */
  async log(task: Task): Promise<void> {
    const document = await vscode.workspace.openTextDocument(this.logUri(task.sessionId));
    await vscode.languages.setTextDocumentLanguage(document, "markdown");
    await vscode.window.showTextDocument(document, { preview: true });
  }

  dispose(): void {
    this.timers.forEach((timer) => clearTimeout(timer));
    this.disposables.forEach((one) => one.dispose());
    this.changed.dispose();
  }

  private logUri(sessionId: string): vscode.Uri {
    return vscode.Uri.from({ scheme: LOG, path: `/${vscode.l10n.t("Task Log")}.md`, query: sessionId });
  }

  private heard({ sessionId, taskId }: Envelope): void {
    if (!taskId || this.timers.has(sessionId)) return;
    const uri = this.logUri(sessionId);
    if (!vscode.workspace.textDocuments.some((document) => String(document.uri) === String(uri))) return;
    const read = (): void => {
      this.timers.delete(sessionId);
      this.changed.fire(uri);
    };
    this.timers.set(sessionId, setTimeout(read, PAUSE));
  }
}
