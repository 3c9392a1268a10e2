// What the chat does in the editor: attach from it, insert into it, open in it.
import * as path from "node:path";
import * as vscode from "vscode";
import type { Attachment } from "./view/messages";

const IMAGE = /\.(png|jpe?g|gif|webp)$/i;
const OFFERED = 2000; // files in the list to choose from

/** Something to go with a message, by what kind; undefined if there is nothing. */
export async function attachment(what: "file" | "selection" | "problems"): Promise<Attachment | undefined> {
  if (what === "file") return pickFile();
  const editor = vscode.window.activeTextEditor;
  if (!editor) return void vscode.window.showInformationMessage(vscode.l10n.t("Open a file first."));
  return what === "selection" ? selection(editor) : problems(editor.document);
}

/** The selected lines, or the whole file where nothing is selected. */
export function selection(editor: vscode.TextEditor): Attachment {
  const { document, selection: range } = editor;
  if (range.isEmpty) return file(document.uri);
  const [first, last] = [range.start.line, range.end.character === 0 ? range.end.line - 1 : range.end.line];
  const label = `${name(document.uri)}:${first + 1}${last > first ? `–${last + 1}` : ""}`;
  const end = { line: last, character: document.lineAt(last).text.length };
  return { label, uri: String(document.uri), range: { start: { line: first, character: 0 }, end } };
}

export function file(uri: vscode.Uri): Attachment {
  return IMAGE.test(uri.path) ? { label: name(uri), image: String(uri) } : { label: name(uri), uri: String(uri) };
}

function problems(document: vscode.TextDocument): Attachment | undefined {
  const found = vscode.languages.getDiagnostics(document.uri);
  if (!found.length) return void vscode.window.showInformationMessage(vscode.l10n.t("{0} has no problems.", name(document.uri)));
  const diagnostics = found.map(({ message, range }) => ({
    message,
    range: { start: plainPosition(range.start), end: plainPosition(range.end) },
  }));
  const label = vscode.l10n.t("{0}: {1} problem(s)", name(document.uri), found.length);
  return { label, uri: String(document.uri), diagnostics };
}

async function pickFile(): Promise<Attachment | undefined> {
  const files = await vscode.workspace.findFiles("**/*", undefined, OFFERED);
  const items = files
    .map((uri) => ({ label: path.posix.basename(uri.path), description: name(uri), uri }))
    .sort((a, b) => a.description.localeCompare(b.description));
  const placeHolder = vscode.l10n.t("File to attach");
  const chosen = await vscode.window.showQuickPick(items, { placeHolder, matchOnDescription: true });
  return chosen && file(chosen.uri);
}

function plainPosition({ line, character }: vscode.Position): { line: number; character: number } {
  return { line, character };
}

function name(uri: vscode.Uri): string {
  return vscode.workspace.asRelativePath(uri);
}

/** Put text in the place of the selection of the editor that was last used. */
export async function insert(text: string): Promise<void> {
  const editor = vscode.window.activeTextEditor ?? vscode.window.visibleTextEditors[0];
  if (!editor) return void (await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ content: text })));
  // The keys go there first: an undo that is pressed as soon as the text shows must reach the editor.
  const shown = await vscode.window.showTextDocument(editor.document, editor.viewColumn);
  await shown.edit((edit) => edit.replace(shown.selection, text));
}

/** Open a file of the workspace; nothing else, whatever the address says. */
export async function openUri(uri: string, line?: number): Promise<void> {
  const target = vscode.Uri.parse(uri, true);
  if (target.scheme !== "file" || !vscode.workspace.getWorkspaceFolder(target)) {
    throw new Error(vscode.l10n.t("{0} is not a file of this workspace.", uri));
  }
  const at = line === undefined ? {} : { selection: new vscode.Range(line, 0, line, 0) };
  await vscode.window.showTextDocument(target, { preview: true, ...at });
}

/** Open a link of a model: the web outside, after VS Code has asked, and files of the workspace here. */
export async function openLink(href: string): Promise<void> {
  if (/^https?:\/\//i.test(href)) return void (await vscode.env.openExternal(vscode.Uri.parse(href, true)));
  if (/^[a-z][\w+.-]+:(?!\d+$)/i.test(href) && !href.startsWith("file://")) return; // command:, javascript: and their kin
  const [, place = "", line] = /^(?:file:\/\/)?([^#:]+)(?:(?:#L|:)(\d+))?/.exec(href) ?? [];
  const folder = vscode.workspace.workspaceFolders?.[0];
  if (!place || !folder) return;
  const target = path.posix.isAbsolute(place) ? folder.uri.with({ path: place }) : vscode.Uri.joinPath(folder.uri, place);
  await openUri(String(target), line ? Number(line) - 1 : undefined);
}
