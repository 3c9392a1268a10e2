// The conversation: each event has its place on the page, and a new kind of event does not compile until it has.
import type { Approval, Envelope, Question, Task } from "../protocol";
import { approvalCard, questionCard, type Card } from "./cards";
import { button, h, t } from "./dom";
import type { ToHost } from "./messages";
import { Turn, usageWords } from "./turn";

export class Log {
  readonly element = h("main", { role: "log", label: t("Conversation") });
  /** Cards of background agents, and of anything whose turn is not shown. */
  readonly elsewhere = h("div", { class: "elsewhere" });
  /** The id of the turn that runs. */
  running: string | undefined;
  private readonly turns = new Map<string, Turn>();
  private readonly tasks = new Map<string, HTMLElement>();
  private readonly others = new Map<string, Card>();
  private seq = 0;

  constructor(
    private readonly tell: (message: ToHost) => void,
    private readonly changed: () => void,
    private readonly showUsage: (words: string) => void,
  ) {}

  clear(): void {
    this.element.replaceChildren();
    this.turns.clear();
    this.tasks.clear();
    this.seq = 0;
    this.running = undefined;
    this.showUsage("");
  }

  /** Show what the whole conversation up to now is. */
  reset(events: Envelope[], earlier: boolean): void {
    this.clear();
    for (const envelope of events) this.apply(envelope);
    if (earlier) this.element.prepend(button(t("Show earlier messages"), () => this.tell({ type: "earlier" })));
  }

  apply(envelope: Envelope): void {
    const { event, seq, turnId } = envelope;
    const passing = event.type === "textDelta" || event.type === "reasoningDelta" || event.type === "toolOutput";
    if (!passing) {
      if (seq <= this.seq) return; // shown already
      this.seq = seq;
    }
    this.show(event, turnId);
    this.changed();
  }

  private show(event: Envelope["event"], turnId: string | undefined): void {
    if (event.type === "taskChanged") return this.task(event.task);
    if (event.type === "turnUndone") return this.turns.get(event.turnId)?.undo(event.redone ?? false);
    const turn = this.turn(turnId ?? "");
    switch (event.type) {
      case "turnStarted":
        this.running = turnId;
        return turn.said(event.text);
      case "textDelta":
        return turn.speak(event.itemId, event.text, false);
      case "reasoningDelta":
        return turn.think(event.text);
      case "message":
        return event.role === "user" ? turn.said(event.text) : turn.speak(event.itemId, event.text, true);
      case "toolStarted":
        return turn.toolStarted(event);
      case "toolOutput":
        return turn.toolOutput(event.itemId, event.text);
      case "toolFinished":
        return turn.toolFinished(event);
      case "changeMade":
        return turn.changed(event, decodeURIComponent(event.uri.split("/").at(-1) ?? event.uri));
      case "approvalRequested":
        return turn.approval(event.approval);
      case "approvalResolved":
        return this.settled(event.approvalId, DECISIONS[event.decision]());
      case "questionAsked":
        return turn.question(event.question);
      case "questionAnswered":
        return this.settled(event.questionId, event.answer);
      case "usage":
        return this.showUsage(usageWords(event));
      case "compacted":
        return turn.notice("info", t("Older messages were summarised: {0} tokens became {1}.", event.tokensBefore, event.tokensAfter));
      case "forked":
        return turn.notice("info", t("Goes on from an earlier conversation."));
      case "checkpoint":
        return; // what undo goes back to: nothing to see
      case "notice":
        return turn.notice(event.level, event.text);
      case "turnFinished":
        this.running = undefined;
        this.showUsage(usageWords(event.usage));
        return turn.finished(event);
      default:
        return turn.notice("info", unknown(event));
    }
  }

  private turn(id: string): Turn {
    let turn = this.turns.get(id);
    if (!turn) {
      this.turns.set(id, (turn = new Turn(id, this.tell)));
      if (!id) turn.element.classList.remove("running");
      this.element.append(turn.element);
    }
    return turn;
  }

  /** An approval or question, in the running turn if it is that one's, else above the field for text. */
  asked(id: string, asked: { approval: Approval } | { question: Question }, here: boolean): void {
    if (here && this.running) {
      const turn = this.turn(this.running);
      return "approval" in asked ? turn.approval(asked.approval) : turn.question(asked.question);
    }
    if (this.others.has(id)) return;
    const card = "approval" in asked ? approvalCard(asked.approval, this.tell) : questionCard(asked.question, this.tell);
    this.others.set(id, card);
    this.elsewhere.append(card.element);
  }

  settled(id: string, words?: string): void {
    for (const turn of this.turns.values()) turn.settled(id, words);
    this.others.get(id)?.element.remove();
    this.others.delete(id);
  }

  private task(task: Task): void {
    const status = TASK_WORDS[task.status]();
    const name = h("span", { class: "name" }, t("Task: {0}", task.title));
    const facts = h("span", { class: "facts" }, status);
    const row = button("", () => this.tell({ type: "task", taskId: task.id }));
    row.className = `row task ${task.status}`;
    row.replaceChildren(h("span", { class: "status", role: "img", label: status }), name, facts);
    const shown = this.tasks.get(task.id);
    if (shown) shown.replaceWith(row);
    else (this.running ? this.turn(this.running).element : this.element).append(row);
    this.tasks.set(task.id, row);
  }
}

/** What is said of an event of a newer server; one of this server's does not compile here. */
function unknown(event: never): string {
  return t("Something that this version cannot show: {0}", (event as { type: string }).type);
}

const DECISIONS: Record<"accept" | "acceptForSession" | "decline" | "cancel", () => string> = {
  accept: () => t("Allowed"),
  acceptForSession: () => t("Allowed for the session"),
  decline: () => t("Denied"),
  cancel: () => t("Cancelled"),
};
const TASK_WORDS: Record<Task["status"], () => string> = {
  queued: () => t("queued"),
  running: () => t("running"),
  waiting: () => t("waiting for you"),
  completed: () => t("completed"),
  failed: () => t("failed"),
  cancelled: () => t("cancelled"),
  timedOut: () => t("timed out"),
  interrupted: () => t("interrupted"),
};
