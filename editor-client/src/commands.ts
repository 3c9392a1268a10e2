// The commands of the palette, menus and keys.
import * as vscode from "vscode";
import { plain } from "./asking";
import type { Changes } from "./changes";
import type { Chat } from "./chat";
import { file, selection } from "./editor";
import { report } from "./errors";
import type { Progress } from "./progress";
import type { Commands, Task } from "./protocol";
import type { Server } from "./server";
import { Tasks } from "./tasks";

export interface Parts {
  server: Server;
  chat: Chat;
  tasks: Tasks;
  changes: Changes;
  progress: Progress;
  restart: () => Promise<void>;
}

/** Register every command; what one is refused with shows as a notification. */
export function registerCommands(parts: Parts): vscode.Disposable[] {
  const commands = { ...talking(parts), ...delegating(parts), ...choosing(parts), ...caring(parts) };
  return Object.entries(commands).map(([name, act]) =>
    vscode.commands.registerCommand(`pygent.ui.${name}`, (...args: unknown[]) => report(() => act(...args))),
  );
}

type Acts = Record<string, (...args: unknown[]) => unknown>;

function talking({ server, chat }: Parts): Acts {
  const restore = async (turnId: unknown, redo: boolean) => {
    const which = { ...(chat.sessionId && { sessionId: chat.sessionId }), ...(typeof turnId === "string" && { turnId }) };
    const { files } = await server.call(redo ? "pygent.redo" : "pygent.undo", which);
    const kept = files.filter((one) => one.conflict);
    const names = kept.map((one) => `${vscode.workspace.asRelativePath(vscode.Uri.parse(one.uri))} (${one.conflict ?? ""})`);
    if (kept.length) void vscode.window.showWarningMessage(plain(vscode.l10n.t("Left as they are: {0}", names.join(", "))));
    else vscode.window.setStatusBarMessage(vscode.l10n.t("Pygent: {0} file(s) restored", files.length), 4000);
  };
  return {
    chat: () => chat.focus(),
    ask: async (uri) => {
      const editor = vscode.window.activeTextEditor;
      const fromExplorer = uri instanceof vscode.Uri && String(uri) !== String(editor?.document.uri);
      if (fromExplorer) chat.attach(file(uri));
      else if (editor) chat.attach(selection(editor));
      await chat.focus();
    },
    cancel: async () => {
      if (!(await chat.cancel())) await server.call("pygent.cancel", {});
    },
    undo: (turnId) => restore(turnId, false),
    redo: (turnId) => restore(turnId, true),
    newSession: async () => {
      await chat.focus(); // first: once the page is empty, it takes the keys from nothing else any more
      await chat.show(undefined);
    },
    resume: async () => {
      const chosen = await pickSession(server);
      if (!chosen) return;
      await chat.show(chosen);
      await chat.focus();
    },
  };
}

function delegating({ server, chat, tasks, changes, progress }: Parts): Acts {
  const on = (act: (task: Task) => unknown, status?: "live" | "ended") => async (given: unknown) => {
    const task = await pickTask(tasks, given, status);
    return task && act(task);
  };
  return {
    delegate: async (given) => {
      const title = vscode.l10n.t("Delegate Task");
      const prompt = typeof given === "string" && given ? given : await vscode.window.showInputBox({
        title,
        prompt: vscode.l10n.t("What should a background agent do?"),
        ignoreFocusOut: true,
      });
      if (!prompt?.trim()) return;
      const persona = await pickDelegate(server, title);
      if (persona === undefined) return;
      const { task } = await server.call("pygent.delegate", { prompt, ...(persona && { persona }) });
      progress.watch(task.id);
    },
    tasks: () => vscode.commands.executeCommand(`${Tasks.id}.focus`),
    taskOpen: on(async (task) => {
      await chat.show(task.sessionId, task);
      await chat.focus();
    }),
    taskLog: on((task) => changes.log(task)),
    taskDiff: on(async (task) => {
      if (!(await changes.show(task))) void vscode.window.showInformationMessage(vscode.l10n.t("The task changed nothing."));
    }),
    taskApply: on(async (task) => apply(server, changes, task), "ended"),
    taskCancel: on(async (task) => tasks.update((await server.call("pygent.task.cancel", { taskId: task.id })).task), "live"),
    taskRetry: on((task) => server.call("pygent.task.retry", { taskId: task.id }), "ended"),
    taskDelete: on(async (task) => {
      const yes = vscode.l10n.t("Delete");
      const detail = vscode.l10n.t("What it changed and was not applied is lost.");
      if ((await vscode.window.showWarningMessage(vscode.l10n.t("Delete “{0}”?", task.title), { modal: true, detail }, yes)) !== yes) return;
      await server.call("pygent.task.delete", { taskId: task.id });
      tasks.forget(task.id);
    }, "ended"),
  };
}

async function apply(server: Server, changes: Changes, task: Task): Promise<void> {
  const { applied, conflicts } = await server.call("pygent.task.apply", { taskId: task.id });
  const said = vscode.l10n.t("{0} file(s) applied", applied.length);
  if (!conflicts.length) {
    void vscode.window.showInformationMessage(vscode.l10n.t("Task “{0}”: {1}", task.title, said));
    return;
  }
  const show = vscode.l10n.t("Show Changes");
  const left = conflicts.map(({ path, reason }) => `${path} (${reason})`).join(", ");
  const text = plain(vscode.l10n.t("Task “{0}”: {1}; left as they are: {2}", task.title, said, left));
  if ((await vscode.window.showWarningMessage(text, show)) === show) await changes.show(task);
}

function choosing({ server, chat }: Parts): Acts {
  const here = () => (chat.sessionId ? { sessionId: chat.sessionId } : {});
  return {
    persona: async () => {
      const { personas } = await server.call("pygent.personas", {});
      const items = personas.map(({ name, description, active }) => ({ label: name, description: active ? vscode.l10n.t("for new sessions") : "", detail: description }));
      const chosen = await vscode.window.showQuickPick(items, { placeHolder: vscode.l10n.t("Who speaks from the next turn on") });
      if (!chosen) return;
      await server.call("pygent.persona.use", { name: chosen.label, ...here() });
      await chat.showWho();
    },
    model: async () => {
      const name = await pickModel(server);
      if (name) await chat.useModel(name);
    },
  };
}

function caring({ server, restart }: Parts): Acts {
  return {
    doctor: async () => {
      const { checks } = await server.call("pygent.doctor", {});
      const icons: Record<string, string> = { ok: "$(pass)", warn: "$(warning)", fail: "$(error)" };
      const items = checks.map(({ status, message, fix }) => ({ label: `${icons[status] ?? ""} ${message}`, detail: fix ?? "" }));
      await vscode.window.showQuickPick(items, { title: vscode.l10n.t("Check Setup"), placeHolder: vscode.l10n.t("What is set up, and how to mend what is not") });
    },
    log: () => server.log.show(),
    restart,
  };
}

// -- choosing ----------------------------------------------------------------------------------

async function pickSession(server: Server): Promise<string | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  const pages = await Promise.all(folders.map(({ uri }) => server.call("pygent.session.list", { folderUri: String(uri), limit: 100 })));
  const sessions = pages.flatMap((page) => page.sessions).sort((a, b) => b.updatedAt - a.updatedAt);
  const items = sessions
    .filter((session) => !session.taskId)
    .map(({ id, title, updatedAt, status }) => ({
      label: title || vscode.l10n.t("(no title)"),
      description: `${new Date(updatedAt).toLocaleString()}${status === "idle" ? "" : ` · ${status}`}`,
      id,
    }));
  const placeHolder = items.length ? vscode.l10n.t("Session to go on with") : vscode.l10n.t("There is no session in this folder yet");
  return (await vscode.window.showQuickPick(items, { placeHolder, matchOnDescription: true }))?.id;
}

/** The persona of a task: empty for the server's choice, undefined if the person has stepped back. */
async function pickDelegate(server: Server, title: string): Promise<string | undefined> {
  const { personas } = await server.call("pygent.personas", {});
  if (personas.length < 2) return "";
  const any = { label: vscode.l10n.t("Any persona"), detail: vscode.l10n.t("The server's choice"), name: "" };
  const items = [any, ...personas.map(({ name, description }) => ({ label: name, detail: description, name }))];
  return (await vscode.window.showQuickPick(items, { title, placeHolder: vscode.l10n.t("Who does it") }))?.name;
}

async function pickModel(server: Server): Promise<string | undefined> {
  const placeHolder = vscode.l10n.t("Model from the next turn on");
  let answer: Commands["pygent.models"]["result"];
  try {
    answer = await server.call("pygent.models", {});
  } catch {
    return vscode.window.showInputBox({ prompt: placeHolder }); // a service that lists none
  }
  const items = answer.models.map(({ id }) => ({ label: id, description: id === answer.active ? vscode.l10n.t("for new sessions") : "" }));
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.label;
}

/** The task that a menu or notification names, else the one that is selected, else one from a list. */
async function pickTask(tasks: Tasks, given: unknown, status?: "live" | "ended"): Promise<Task | undefined> {
  const named = typeof given === "string" ? given : (given as Task | undefined)?.id;
  if (named) return tasks.find(named);
  const fits = tasks.all.filter((task) => !status || (status === "live") === (task.finishedAt === undefined));
  if (fits.length < 2) {
    if (!fits.length) void vscode.window.showInformationMessage(vscode.l10n.t("There is no such task."));
    return fits[0];
  }
  const items = fits.map((task) => ({ label: task.title, description: task.status, task }));
  return (await vscode.window.showQuickPick(items, { placeHolder: vscode.l10n.t("Task") }))?.task;
}
