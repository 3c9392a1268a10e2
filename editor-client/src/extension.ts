// Wires the parts together: the server and what shows its events and asks for it.
import * as vscode from "vscode";
import { Asking } from "./asking";
import { Changes } from "./changes";
import { Chat } from "./chat";
import { registerCommands } from "./commands";
import { report } from "./errors";
import { basePython, install, INSTALL_COMMAND, NotFound, privatePython } from "./locate";
import { Progress } from "./progress";
import { Server } from "./server";
import { Tasks } from "./tasks";

/** Start everything; VS Code calls it only in a workspace that is trusted. */
export function activate(context: vscode.ExtensionContext): void {
  const storage = context.globalStorageUri;
  const asking = new Asking();
  const server = new Server(storage, asking);
  const chat: Chat = new Chat(context, server, asking);
  const tasks = new Tasks(server);
  const changes = new Changes(server);
  const progress = new Progress(server, asking, (sessionId) => chat.visible && chat.sessionId === sessionId);
  const restart = () => server.restart();
  server.middleware = {
    executeCommand: (command, args, next) => {
      if (command.startsWith("pygent.code.")) chat.follow();
      return next(command, args);
    },
  };
  const webview = { webviewOptions: { retainContextWhenHidden: true } };
  context.subscriptions.push(
    server,
    asking,
    chat,
    tasks,
    changes,
    progress,
    chat.onVisibility(() => progress.look()),
    server.onHealth((health) => health !== "running" && asking.clear()),
    server.onFailure((error) => void tell(server, storage, error)),
    server.interpreters.onChange(() => void follow(server, progress)),
    vscode.window.registerWebviewViewProvider(Chat.id, chat, webview),
    vscode.workspace.onDidChangeConfiguration((event) => {
      // What else changes, the server asks for itself.
      if (event.affectsConfiguration("pygent.server") || event.affectsConfiguration("pygent.interpreter")) void restart();
    }),
    ...registerCommands({ server, chat, tasks, changes, progress, restart }),
  );
  void restart();
}

/** Take the server of the interpreter that is chosen now; where that would interrupt something, a person says when. */
async function follow(server: Server, progress: Progress): Promise<void> {
  if (!(await server.outdated())) return;
  const yes = vscode.l10n.t("Restart Server");
  const asked = vscode.l10n.t("Another Python is chosen. Restart Pygent's server with it? What runs now is interrupted.");
  if (!progress.busy || (await vscode.window.showInformationMessage(asked, yes)) === yes) await server.restart();
}

async function tell(server: Server, storage: vscode.Uri, error: Error): Promise<void> {
  const own = server.found?.command === privatePython(storage); // what the extension installed it can install anew
  if (error instanceof NotFound) await offer(server, storage, vscode.l10n.t("Pygent's server was not found."));
  else if (own) await offer(server, storage, error.message);
  else await report(() => Promise.reject(error));
}

/** Say why no server runs, and what can be done about it. */
async function offer(server: Server, storage: vscode.Uri, why: string): Promise<void> {
  const settings = vscode.l10n.t("Open Settings");
  const copy = vscode.l10n.t("Copy Install Command");
  const own = vscode.l10n.t("Install for VS Code Only");
  const base = await basePython(server.interpreters, storage);
  const what = base
    ? vscode.l10n.t("Install it, or name it in the settings.")
    : vscode.l10n.t("There is no Python 3.10 or newer to install it into either.");
  const chosen = await vscode.window.showErrorMessage(`${why} ${what}`, settings, copy, ...(base ? [own] : []));
  if (chosen === settings) await vscode.commands.executeCommand("workbench.action.openSettings", "@ext:pygent.pygent");
  else if (chosen === copy) await vscode.env.clipboard.writeText(INSTALL_COMMAND);
  else if (chosen === own && base) await installPrivately(server, storage, base);
}

async function installPrivately(server: Server, storage: vscode.Uri, base: string): Promise<void> {
  const yes = vscode.l10n.t("Install");
  const detail = vscode.l10n.t("{0} makes an environment in {1} and pip installs pygent-server into it.", base, storage.fsPath);
  const asked = vscode.l10n.t("Install Pygent's server for VS Code only?");
  if ((await vscode.window.showInformationMessage(asked, { modal: true, detail }, yes)) !== yes) return;
  const options = { location: vscode.ProgressLocation.Notification, title: vscode.l10n.t("Installing Pygent's server"), cancellable: true };
  await report(() =>
    vscode.window.withProgress(options, (_, token) => {
      const ending = new AbortController();
      token.onCancellationRequested(() => ending.abort());
      return install(base, storage, server.log, ending.signal);
    }),
  );
  await server.restart();
}
