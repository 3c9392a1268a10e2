// Refusals, as a person reads them: one sentence and what mends it.
import * as vscode from "vscode";
import { plain } from "./asking";

const CANCELLED = -32800;

/** Do something; what it is refused with shows as a notification.  Undefined if it was. */
export async function report<Result>(act: () => Promise<Result> | Thenable<Result> | Result): Promise<Result | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof vscode.CancellationError || (error as { code?: number }).code === CANCELLED) return undefined;
    const { message, data } = error as Error & { data?: { fix?: string } };
    const log = vscode.l10n.t("Show Log");
    const text = plain([message, data?.fix].filter(Boolean).join(" "));
    void vscode.window.showErrorMessage(text, log).then((chosen) => chosen && vscode.commands.executeCommand("pygent.ui.log"));
    return undefined;
  }
}
