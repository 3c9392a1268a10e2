// The Chat view: one session on a page that can run nothing of what it shows.
import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import { attachment, insert, openLink, openUri } from "./editor";
import type { Asking } from "./asking";
import { report } from "./errors";
import type { Envelope, SessionInfo, Task } from "./protocol";
import type { Server } from "./server";
import type { Attachment, Draft, ToHost, ToPage } from "./view/messages";
import { Waiting, type Said } from "./waiting";

const SHOWN = 2000; // events of a long conversation that are shown at first
const SESSION = "session"; // where the window remembers which session it shows
const DRAFT = "draft"; // and what was typed and not sent

const SLASH: Partial<Record<string, string>> = {
  ...{ new: "newSession", undo: "undo", redo: "redo", delegate: "delegate", tasks: "tasks" },
  ...{ model: "model", persona: "persona", doctor: "doctor" },
};

export class Chat implements vscode.WebviewViewProvider, vscode.Disposable {
  static readonly id = "pygent.views.chat";
  private view: vscode.WebviewView | undefined;
  private readonly seen = new vscode.EventEmitter<void>();
  /** The view came into sight, or went out of it. */
  readonly onVisibility = this.seen.event;
  private readonly disposables: vscode.Disposable[] = [];
  private ready = false;
  private unposted: ToPage[] = [];
  private readonly waiting: Waiting;
  private task: Task | undefined;
  private follows = false;
  private loading: Envelope[] | undefined;
  /** The session that is shown; none before its first message. */
  sessionId: string | undefined;
  private chosenModel: string | undefined;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly server: Server,
    private readonly asking: Asking,
  ) {
    this.sessionId = context.workspaceState.get(SESSION);
    this.waiting = new Waiting(context.workspaceState);
    this.disposables.push(
      server.onEvent((envelope) => this.heard(envelope)),
      server.onHealth(() => void this.healthChanged()),
      asking.onAsked(() => this.postAsked()),
      asking.onSettled((id) => this.post({ type: "settled", id })),
    );
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const { webview } = view;
    const dist = vscode.Uri.joinPath(this.context.extensionUri, "dist");
    webview.options = { enableScripts: true, localResourceRoots: [dist], enableCommandUris: false };
    webview.onDidReceiveMessage((message: ToHost) => void report(() => this.receive(message)), undefined, this.disposables);
    view.onDidChangeVisibility(() => this.seen.fire(), undefined, this.disposables);
    view.onDidDispose(() => {
      this.view = undefined;
      this.ready = false;
    });
    webview.html = page(webview, dist);
  }

  get visible(): boolean {
    return this.view?.visible ?? false;
  }

  /** Bring the view up, with the cursor in the field. */
  async focus(): Promise<void> {
    await vscode.commands.executeCommand(`${Chat.id}.focus`);
    this.post({ type: "focus" });
  }

  /** Show a session, a task's if one is given, or with neither an empty page. */
  async show(sessionId: string | undefined, task?: Task): Promise<void> {
    this.sessionId = sessionId;
    this.task = task;
    await this.context.workspaceState.update(SESSION, task ? undefined : sessionId);
    if (this.ready) await this.load();
  }

  /** Show whichever session the next turn begins in. */
  follow(): void {
    this.follows = true;
  }

  attach(attached: Attachment): void {
    this.post({ type: "attach", attachment: attached });
  }

  /** Ask another model from now on: in the session that is shown, else in those to come. */
  async useModel(name: string): Promise<void> {
    await this.server.call("pygent.model.use", { name, ...(this.sessionId && { sessionId: this.sessionId }) });
    if (!this.sessionId) this.chosenModel = name;
    await this.showWho();
  }

  /** Say anew who speaks. */
  async showWho(): Promise<void> {
    if (this.server.health !== "running") return;
    const session = this.sessionId && (await this.info(this.sessionId));
    const { personas } = await this.server.call("pygent.personas", {});
    const persona = session ? session.persona.name : (personas.find((one) => one.active)?.name ?? "");
    this.post({ type: "who", persona, model: (session && session.model) || (await this.activeModel()) });
  }

  dispose(): void {
    this.disposables.forEach((one) => one.dispose());
  }

  private async activeModel(): Promise<string> {
    const { values } = await this.server.call("pygent.config.show", {});
    return this.chosenModel ?? ((values.model?.value ?? "") as string);
  }

  private post(message: ToPage): void {
    if (this.ready) void this.view?.webview.postMessage(message);
    else this.unposted.push(message);
  }

  private async receive(message: ToHost): Promise<void> {
    switch (message.type) {
      case "ready":
        return this.pageReady();
      case "earlier":
        return this.load(true);
      case "send":
        return this.send(message.text, message.attachments, message.deliver);
      case "draft":
        return this.context.workspaceState.update(DRAFT, message.draft);
      case "cancel":
        await this.cancel();
        return;
      case "decide":
        return this.decide(message.id, message.decision);
      case "answer":
        if (!this.asking.answer(message.id, message.answer)) this.post({ type: "settled", id: message.id });
        return;
      case "undo":
        return vscode.commands.executeCommand(message.redo ? "pygent.ui.redo" : "pygent.ui.undo", message.turnId);
      case "open":
        return openUri(message.uri);
      case "link":
        return openLink(message.href);
      case "copy":
        return vscode.env.clipboard.writeText(message.text);
      case "insert":
        return insert(message.text);
      case "attach": {
        const attached = await attachment(message.what);
        return attached && this.attach(attached);
      }
      case "complete":
        return this.complete(message.request, message.text);
      case "task":
        return vscode.commands.executeCommand("pygent.ui.taskOpen", message.taskId);
      case "run":
        return vscode.commands.executeCommand(`pygent.ui.${message.command}`);
    }
  }

  private async pageReady(): Promise<void> {
    this.ready = true;
    const draft = this.context.workspaceState.get<Draft>(DRAFT);
    if (draft) this.post({ type: "draft", draft });
    await this.load();
    for (const message of this.unposted.splice(0)) this.post(message);
    this.postAsked();
  }

  private async send(text: string, attachments: Attachment[], deliver: "start" | "steer" | "queue"): Promise<void> {
    let said: Said | undefined;
    try {
      if (await this.slash(text)) return;
      const sessionId = this.sessionId ?? (await this.begin());
      said = this.waiting.add(sessionId, text);
      this.postWaiting();
      if (this.task) {
        await this.server.call("pygent.task.send", { taskId: this.task.id, text });
      } else {
        const clientMessageId = randomUUID();
        const sent = attachments.map(({ label, ...one }) => one);
        await this.server.call("pygent.chat", { text, sessionId, attachments: sent, deliver, clientMessageId, wait: false });
      }
      this.waiting.taken(said);
    } catch (error) {
      if (said) this.waiting.drop(said);
      this.postWaiting();
      this.post({ type: "unsent", text, attachments, error: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Do what a command after `/` says; false for any other text. */
  private async slash(text: string): Promise<boolean> {
    const [, name = "", rest] = /^\/(\w+)\s*([^]*)$/.exec(text) ?? [];
    const command = SLASH[name];
    if (name === "compact" && this.sessionId) await this.server.call("pygent.session.compact", { sessionId: this.sessionId });
    else if (command) void vscode.commands.executeCommand(`pygent.ui.${command}`, ...(rest ? [rest] : []));
    else return false;
    return true;
  }

  /** A new session in the folder of the active editor. */
  private async begin(): Promise<string> {
    const active = vscode.window.activeTextEditor?.document.uri;
    const folder = (active && vscode.workspace.getWorkspaceFolder(active)) ?? vscode.workspace.workspaceFolders?.[0];
    const more = folder ? { folderUri: String(folder.uri) } : {};
    const { session } = await this.server.call("pygent.session.new", more);
    await this.show(session.id);
    return session.id;
  }

  /** End the turn that is shown, or the latest that runs. */
  async cancel(): Promise<boolean> {
    const which = this.task ? { taskId: this.task.id } : this.sessionId ? { sessionId: this.sessionId } : {};
    const { cancelled } = await this.server.call("pygent.cancel", which);
    return cancelled;
  }

  private async decide(id: string, decision: Extract<ToHost, { type: "decide" }>["decision"]): Promise<void> {
    if (this.asking.answer(id, decision)) return;
    await this.server.call("pygent.approval.respond", { approvalId: id, ...decision });
    this.post({ type: "settled", id });
  }

  private async complete(request: number, text: string): Promise<void> {
    const more = this.sessionId ? { sessionId: this.sessionId } : {};
    const { items } = await this.server.call("pygent.complete", { text, ...more });
    this.post({ type: "completions", request, items: items.map(({ uri, ...item }) => ({ ...item, ...(uri && { attachment: { label: item.label, uri } }) })) });
  }

  // -- events ----------------------------------------------------------------------------------

  private heard(envelope: Envelope): void {
    const { event, sessionId, taskId } = envelope;
    if (event.type === "turnStarted" && !taskId && (this.follows || !this.sessionId)) {
      this.follows = false;
      if (sessionId !== this.sessionId) void report(() => this.show(sessionId));
    }
    this.waiting.heard(envelope);
    if (sessionId !== this.sessionId) return;
    if (this.loading) this.loading.push(envelope);
    else if (this.ready) this.post({ type: "event", envelope });
    if (event.type === "turnStarted" || event.type === "message") this.postWaiting();
    if (event.type === "turnFinished") void report(() => this.showWho());
  }

  private postWaiting(): void {
    if (this.ready) this.post({ type: "waiting", texts: this.waiting.of(this.sessionId) });
  }

  private postAsked(): void {
    for (const one of this.asking.waiting) {
      const here = (one.kind === "approval" ? one.approval : one.question).sessionId === this.sessionId;
      this.post(one.kind === "approval" ? { type: "approval", approval: one.approval, here } : { type: "question", question: one.question, here });
    }
  }

  private async healthChanged(): Promise<void> {
    const { health } = this.server;
    const words = {
      starting: vscode.l10n.t("Pygent is starting …"),
      running: "",
      restarting: vscode.l10n.t("Pygent's server ended and is started again in {0} s …", this.server.delay / 1000),
      failed: vscode.l10n.t("Pygent's server does not run. The log says why."),
    };
    this.post({ type: "health", text: words[health] });
    if (health !== "running") this.chosenModel = undefined; // the server knew it, and forgets it
    if (health === "running" && this.ready) await report(() => this.load());
  }

  /** Read the session's events and show them; those that come meanwhile follow. */
  private async load(all = false): Promise<void> {
    const { sessionId } = this;
    if (this.server.health !== "running") return void this.post({ type: "health", text: vscode.l10n.t("Pygent is starting …") });
    const live: Envelope[] = (this.loading = []);
    try {
      const read = sessionId ? await this.read(sessionId, all) : { title: "", events: [], earlier: false };
      if (this.loading !== live) return; // another session is being shown
      for (const envelope of read.events) this.waiting.heard(envelope);
      this.post({ type: "session", ...read, ...(this.task && { title: this.task.title, taskId: this.task.id }) });
      for (const envelope of live) this.post({ type: "event", envelope });
      this.postWaiting();
      this.postAsked();
    } catch (error) {
      if (sessionId !== this.sessionId) return;
      this.server.log.warn(`session ${sessionId ?? ""}: ${String(error)}`);
      this.sessionId = undefined; // it was deleted
      this.post({ type: "session", title: "", events: [], earlier: false });
    } finally {
      if (this.loading === live) this.loading = undefined;
    }
    await this.showWho();
  }

  private async read(sessionId: string, all: boolean): Promise<{ title: string; events: Envelope[]; earlier: boolean }> {
    const { title } = await this.info(sessionId);
    const { seq } = await this.server.call("pygent.session.events", { sessionId, limit: 1 });
    const after = all ? 0 : Math.max(0, seq - SHOWN);
    const { events } = await this.server.call("pygent.session.events", { sessionId, after });
    return { title, events, earlier: after > 0 };
  }

  private async info(sessionId: string): Promise<SessionInfo> {
    return (await this.server.call("pygent.session.get", { sessionId })).session;
  }
}

/** The page: only our script and style, nothing inline, nothing loaded, no markup made from text. */
function page(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = randomUUID();
  const at = (name: string) => String(webview.asWebviewUri(vscode.Uri.joinPath(dist, name)));
  const policy = [
    "default-src 'none'",
    `style-src ${webview.cspSource}`,
    `script-src 'nonce-${nonce}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  const texts = JSON.stringify(vscode.l10n.bundle ?? {}).replace(/[&"<]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<!DOCTYPE html>
<html lang="${vscode.env.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="${at("chat.css")}">
<title>Pygent</title>
</head>
<body data-l10n="${texts}"><script nonce="${nonce}" src="${at("chat.js")}"></script></body>
</html>`;
}
