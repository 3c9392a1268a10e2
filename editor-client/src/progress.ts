// Whether something runs: the status bar, and a notification with a working cancel where the chat is not in sight.
import * as vscode from "vscode";
import type { Asking } from "./asking";
import { plain } from "./asking";
import { report } from "./errors";
import type { Envelope } from "./protocol";
import type { Server } from "./server";

interface Running {
  sessionId: string;
  taskId: string | undefined;
  title: string;
  progress?: vscode.Progress<{ message: string }>;
  end?: () => void;
}

export class Progress implements vscode.Disposable {
  private readonly turns = new Map<string, Running>();
  private readonly watched = new Set<string>();
  private readonly item = vscode.window.createStatusBarItem("pygent.status", vscode.StatusBarAlignment.Right, 90);
  private readonly disposables: vscode.Disposable[];

  constructor(
    private readonly server: Server,
    private readonly asking: Asking,
    private readonly inSight: (sessionId: string) => boolean,
  ) {
    this.item.name = "Pygent";
    this.item.show();
    this.disposables = [
      this.item,
      server.onEvent((envelope) => this.heard(envelope)),
      server.onHealth(() => this.clear()),
      asking.onAsked(() => this.show()),
      asking.onSettled(() => this.show()),
    ];
    this.show();
  }

  /** Whether a turn runs, of the chat or of a task. */
  get busy(): boolean {
    return this.turns.size > 0;
  }

  /** Show the progress of a task that a person has just delegated. */
  watch(taskId: string): void {
    this.watched.add(taskId);
    for (const [turnId, turn] of this.turns) if (turn.taskId === taskId) this.notify(turnId, turn);
  }

  /** Show in a notification what went out of sight. */
  look(): void {
    for (const [turnId, turn] of this.turns) {
      if (turn.taskId === undefined && !this.inSight(turn.sessionId)) this.notify(turnId, turn);
    }
  }

  dispose(): void {
    this.turns.forEach((turn) => turn.end?.());
    this.disposables.forEach((one) => one.dispose());
  }

  private heard(envelope: Envelope): void {
    const { event, turnId } = envelope;
    if (!turnId) return;
    if (event.type === "turnStarted") {
      this.begin(turnId, envelope, event.text);
    } else if (event.type === "toolStarted") {
      this.turns.get(turnId)?.progress?.report({ message: plain(event.title.slice(0, 120)) });
    } else if (event.type === "turnFinished") {
      this.turns.get(turnId)?.end?.();
      this.turns.delete(turnId);
      this.show();
    }
  }

  private begin(turnId: string, { sessionId, taskId }: Envelope, text: string): void {
    const turn = { sessionId, taskId, title: text.split("\n", 1).join("").slice(0, 80) };
    this.turns.set(turnId, turn);
    if (taskId ? this.watched.has(taskId) : !this.inSight(sessionId)) this.notify(turnId, turn);
    this.show();
  }

  private notify(turnId: string, turn: Running): void {
    if (turn.end) return;
    const title = plain(turn.taskId ? vscode.l10n.t("Pygent task: {0}", turn.title) : vscode.l10n.t("Pygent: {0}", turn.title));
    const ended = new Promise<void>((resolve) => (turn.end = resolve));
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    void vscode.window.withProgress(options, (progress, token) => {
      turn.progress = progress;
      const which = turn.taskId ? { taskId: turn.taskId } : { sessionId: turn.sessionId, turnId };
      token.onCancellationRequested(() => void report(() => this.server.call("pygent.cancel", which)));
      return ended;
    });
  }

  private clear(): void {
    if (this.server.health !== "running") {
      this.turns.forEach((turn) => turn.end?.());
      this.turns.clear();
    }
    this.show();
  }

  private show(): void {
    const { health } = this.server;
    const waiting = this.asking.waiting.length;
    const busy = this.turns.size;
    void vscode.commands.executeCommand("setContext", "pygent.busy", busy > 0);
    this.item.backgroundColor = undefined;
    this.item.command = "pygent.ui.chat";
    if (health === "failed" || health === "restarting") {
      this.item.text = vscode.l10n.t("Pygent: error");
      this.item.tooltip = vscode.l10n.t("The server does not run. Click for the log.");
      this.item.command = "pygent.ui.log";
      this.item.backgroundColor = new vscode.ThemeColor("statusBarItem.errorBackground");
    } else if (health === "starting") {
      this.item.text = vscode.l10n.t("Pygent: starting");
      this.item.tooltip = vscode.l10n.t("The server is starting.");
    } else if (waiting) {
      this.item.text = vscode.l10n.t("Pygent: waiting");
      this.item.tooltip = vscode.l10n.t("{0} answer(s) of yours wanted", waiting);
      this.item.backgroundColor = new vscode.ThemeColor("statusBarItem.warningBackground");
    } else if (busy) {
      this.item.text = vscode.l10n.t("Pygent: busy");
      this.item.tooltip = [...this.turns.values()].map((turn) => turn.title).join("\n");
    } else {
      this.item.text = vscode.l10n.t("Pygent: idle");
      this.item.tooltip = vscode.l10n.t("Pygent {0}, from {1}", this.server.found?.version ?? "", this.server.found?.origin ?? "");
    }
  }
}
