// What the agent asks of a person: in a notification and in the chat at once, answered by whichever is first.
import * as vscode from "vscode";
import type { Person } from "./server";
import type { Approval, Decision, Question } from "./protocol";

const LONGEST = 600; // characters that a notification surely shows

type Asked = { kind: "approval"; approval: Approval } | { kind: "question"; question: Question };
type Pending = Asked & { settle(answer: Decision | string | undefined): void };

export class Asking implements Person, vscode.Disposable {
  private readonly pending = new Map<string, Pending>();
  private readonly asked = new vscode.EventEmitter<Asked>();
  private readonly settled = new vscode.EventEmitter<string>();
  readonly onAsked = this.asked.event;
  /** The id of an approval or question that waits no longer. */
  readonly onSettled = this.settled.event;

  get waiting(): Asked[] {
    return [...this.pending.values()];
  }

  async approve(approval: Approval, token: vscode.CancellationToken): Promise<Decision> {
    const answer = await this.wait<Decision>(approval.id, { kind: "approval", approval }, token);
    return answer ?? { decision: "decline" }; // after a cancel nobody reads it
  }

  async ask(question: Question, token: vscode.CancellationToken): Promise<{ answer: string | null }> {
    return { answer: (await this.wait<string>(question.id, { kind: "question", question }, token)) ?? null };
  }

  /** Answer from elsewhere than the notification; false if it waits no longer. */
  answer(id: string, answer: Decision | string): boolean {
    const found = this.pending.get(id);
    found?.settle(answer);
    return found !== undefined;
  }

  /** Forget everything: the server that asked is gone. */
  clear(): void {
    for (const one of this.pending.values()) one.settle(undefined);
  }

  dispose(): void {
    this.clear();
    this.asked.dispose();
    this.settled.dispose();
  }

  private wait<Answer extends Decision | string>(
    id: string,
    what: Asked,
    token: vscode.CancellationToken,
  ): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const settle = (answer: Decision | string | undefined): void => {
        if (!this.pending.delete(id)) return;
        listening.dispose();
        resolve(answer as Answer | undefined);
        this.settled.fire(id);
      };
      this.pending.set(id, { ...what, settle });
      const listening = token.onCancellationRequested(() => settle(undefined));
      this.asked.fire(what);
      void this.notify(id, what);
    });
  }

  private async notify(id: string, asked: Asked): Promise<void> {
    // VS Code closes no single notification: all that are seen go to the bell, where nothing of them is lost.
    const listening = this.onSettled((settled) => {
      if (settled === id) void vscode.commands.executeCommand("notifications.hideToasts");
    });
    const answer = asked.kind === "approval" ? await notifyApproval(asked.approval) : await notifyQuestion(asked.question);
    listening.dispose();
    if (answer === undefined || this.answer(id, answer)) return;
    void vscode.window.showInformationMessage(vscode.l10n.t("That was answered already, or waits no longer."));
  }
}

async function notifyApproval(approval: Approval): Promise<Decision | undefined> {
  const allow = vscode.l10n.t("Allow");
  const session = vscode.l10n.t("Allow for Session");
  const deny = vscode.l10n.t("Deny");
  const show = vscode.l10n.t("Show in Chat");
  const what = approval.diff ?? (approval.detail || (approval.command ?? ""));
  const shown = showsWhole(approval.title, what);
  const said = shown ? (approval.title.includes(what) ? "" : `: ${what}`) : ` ${vscode.l10n.t("(the whole is in the chat)")}`;
  const text = plain(`Pygent (${placeOf(approval)}): ${approval.title}${said}`);
  const chosen = await vscode.window.showWarningMessage(text, ...(shown ? [allow, session, deny] : [show, deny]));
  if (chosen === show) void vscode.commands.executeCommand("pygent.ui.chat");
  if (chosen === allow) return { decision: "accept" };
  if (chosen === session) return { decision: "acceptForSession" };
  return chosen === deny ? { decision: "decline" } : undefined;
}

function placeOf({ isolation, network, background }: Approval): string {
  const place = isolation === "local" ? vscode.l10n.t("no sandbox") : isolation;
  const more = [network ? vscode.l10n.t("with network") : "", background ? vscode.l10n.t("in the background") : ""];
  return [place, ...more].filter(Boolean).join(", ");
}

/** Whether a notification shows this as it is: it joins lines and blanks, makes links, and cuts at 1,000 characters. */
function showsWhole(title: string, what: string): boolean {
  return title.length + what.length <= LONGEST && !/[\n\t]| {2}|^ | $/.test(what) && plain(what) === what;
}

async function notifyQuestion(question: Question): Promise<string | undefined> {
  const text = plain(question.prompt);
  if (question.options?.length) return vscode.window.showInformationMessage(text, ...question.options);
  const chosen = await vscode.window.showInformationMessage(text, vscode.l10n.t("Answer"));
  return chosen && vscode.window.showInputBox({ prompt: question.prompt, ignoreFocusOut: true });
}

/** Text of a model for a notification, where VS Code would make links to commands of `[title](command:…)`. */
export function plain(text: string): string {
  return text.replaceAll("](", "] (");
}
