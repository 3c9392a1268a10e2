// One turn on the page: what was said, what tools did, what waits for an answer, how it ended.
import type { Approval, ChangeMade, Question, ToolFinished, ToolStarted, TurnFinished, Usage } from "../protocol";
import { approvalCard, questionCard, type Card } from "./cards";
import { diffView } from "./diff";
import { button, h, t } from "./dom";
import { Markdown } from "./markdown";
import type { ToHost } from "./messages";

type Tell = (message: ToHost) => void;
const SHOWN_OUTPUT = 20_000; // characters of a tool's output on the page

interface Speech {
  element: HTMLElement;
  markdown: Markdown;
  text: string;
}
interface Tool {
  row: HTMLDetailsElement;
  status: HTMLElement;
  output: HTMLPreElement;
  body: HTMLElement;
}

export class Turn {
  readonly element = h("section", { class: "turn running", label: t("Turn") });
  private readonly speeches = new Map<string, Speech>();
  private readonly tools = new Map<string, Tool>();
  private readonly changes: HTMLElement[] = [];
  private readonly cards = new Map<string, Card>();
  private thinking: { row: HTMLDetailsElement; text: HTMLElement } | undefined;
  private undone = false;

  constructor(
    readonly id: string,
    private readonly tell: Tell,
  ) {}

  said(text: string): void {
    const markdown = new Markdown(this.tell);
    markdown.update(text);
    this.element.append(h("article", { class: "person", label: t("You") }, markdown.element));
  }

  speak(itemId: string, text: string, whole: boolean): void {
    let speech = this.speeches.get(itemId);
    if (!speech) {
      if (whole && !text.trim()) return;
      const markdown = new Markdown(this.tell);
      const element = h("article", { class: "assistant", label: t("Pygent") }, markdown.element);
      this.speeches.set(itemId, (speech = { element, markdown, text: "" }));
      this.element.append(element);
    }
    speech.text = whole ? text : speech.text + text;
    speech.element.ariaBusy = String(!whole);
    if (whole) speech.markdown.update(speech.text);
    else this.soon(speech);
    if (this.thinking) this.thinking.row.classList.remove("live");
    this.thinking = undefined;
  }

  /** At most one rendering of a growing text for each frame. */
  private soon(speech: Speech): void {
    if (this.drawing.has(speech)) return;
    this.drawing.add(speech);
    requestAnimationFrame(() => {
      this.drawing.delete(speech);
      speech.markdown.update(speech.text);
    });
  }
  private readonly drawing = new Set<Speech>();

  think(text: string): void {
    if (!this.thinking) {
      const body = h("div", { class: "thought" });
      const row = h("details", { class: "row live" }, h("summary", {}, h("span", { class: "name" }, t("Thinking"))), body);
      this.thinking = { row, text: body };
      this.element.append(row);
    }
    this.thinking.text.append(text);
  }

  toolStarted(event: ToolStarted): void {
    const status = h("span", { class: "status", role: "img", label: t("running") });
    const output = h("pre", { role: "group", label: t("Output") });
    output.tabIndex = 0;
    const body = h("div", { class: "body" }, output);
    const name = h("span", { class: "name", title: event.title }, event.title);
    const row = h("details", { class: "row live" }, h("summary", {}, status, name), body);
    this.tools.set(event.itemId, { row, status, output, body });
    this.element.append(row);
  }

  toolOutput(itemId: string, text: string): void {
    const tool = this.tools.get(itemId);
    if (!tool) return;
    tool.row.open = true;
    tool.output.textContent = ((tool.output.textContent || "") + text).slice(-SHOWN_OUTPUT);
    tool.output.scrollTop = tool.output.scrollHeight;
  }

  toolFinished(event: ToolFinished): void {
    const tool = this.tools.get(event.itemId);
    if (!tool) return;
    tool.row.classList.replace("live", event.status);
    tool.status.ariaLabel = TOOL_WORDS[event.status]();
    const seconds = event.durationMs < 100 ? "" : t("{0} s", (event.durationMs / 1000).toFixed(1));
    const code = event.exitCode ? t("exit {0}", event.exitCode) : "";
    const said = event.status === "completed" ? "" : TOOL_WORDS[event.status]();
    const facts = [said, code, seconds].filter(Boolean).join(" · ");
    tool.row.querySelector("summary")?.append(h("span", { class: "facts" }, facts));
    tool.output.textContent = event.output.slice(0, SHOWN_OUTPUT);
    tool.output.hidden = !event.output;
    tool.row.open = false;
  }

  changed(event: ChangeMade, name: string): void {
    const { element, added, removed } = diffView(event.diff, t("Changes of {0}", name));
    const undo = button(t("Undo"), () => this.tell({ type: "undo", turnId: this.id, redo: this.undone }));
    undo.title = t("Undo all changes of this turn");
    undo.classList.add("undo");
    const head = h(
      "div",
      { class: "change-head" },
      h("span", { class: "name", title: event.uri }, `${CHANGE_WORDS[event.kind]()} ${name}`),
      h("span", { class: "plus" }, `+${added}`),
      h("span", { class: "minus" }, `−${removed}`),
      button(t("Open"), () => this.tell({ type: "open", uri: event.uri })),
      undo,
    );
    const change = h("div", { class: "change", role: "group", label: name }, head, element);
    this.changes.push(change);
    const tool = this.tools.get(event.itemId);
    if (tool) tool.row.after(change);
    else this.element.append(change);
  }

  undo(redone: boolean): void {
    this.undone = !redone;
    for (const change of this.changes) {
      change.classList.toggle("undone", this.undone);
      const again = change.querySelector(".undo");
      if (again) again.textContent = this.undone ? t("Redo") : t("Undo");
    }
  }

  approval(approval: Approval): void {
    this.card(approval.id, () => approvalCard(approval, this.tell));
  }

  question(question: Question): void {
    this.card(question.id, () => questionCard(question, this.tell));
  }

  settled(id: string, words?: string): void {
    this.cards.get(id)?.close(words);
  }

  notice(level: string, text: string): void {
    this.element.append(h("p", { class: `notice ${level}`, role: "status" }, text));
  }

  finished(event: TurnFinished): void {
    this.element.classList.remove("running");
    this.element.querySelectorAll(".live").forEach((row) => row.classList.replace("live", "cancelled"));
    for (const card of this.cards.values()) card.close();
    for (const speech of this.speeches.values()) speech.element.ariaBusy = "false";
    const words = TURN_WORDS[event.status]();
    const error = event.error && [event.error.message, event.error.fix].filter(Boolean).join(" ");
    if (event.status !== "completed" || error) {
      this.element.append(h("p", { class: `end ${event.status}`, role: "status" }, [words, error].filter(Boolean).join(": ")));
    }
  }

  private card(id: string, make: () => Card): void {
    if (this.cards.has(id)) return;
    const card = make();
    this.cards.set(id, card);
    this.element.append(card.element);
  }
}

/** The tokens of a turn in a few words. */
export function usageWords(usage: Usage): string {
  const tokens = usage.promptTokens + usage.completionTokens;
  const short = tokens < 1000 ? String(tokens) : `${(tokens / 1000).toFixed(1)}k`;
  const { contextTokens = usage.promptTokens, contextWindow } = usage;
  const full = contextWindow ? ` · ${Math.round((100 * contextTokens) / contextWindow)} %` : "";
  const cost = usage.cost === undefined ? "" : ` · ${usage.cost.toFixed(3)}`;
  return t("{0} tokens", short) + full + cost;
}

const TOOL_WORDS: Record<ToolFinished["status"], () => string> = {
  completed: () => t("done"),
  failed: () => t("failed"),
  declined: () => t("declined"),
  cancelled: () => t("cancelled"),
  timedOut: () => t("timed out"),
};
const CHANGE_WORDS: Record<ChangeMade["kind"], () => string> = {
  created: () => t("Created"),
  edited: () => t("Edited"),
  deleted: () => t("Deleted"),
};
const TURN_WORDS: Record<TurnFinished["status"], () => string> = {
  completed: () => t("Done"),
  needsInput: () => t("Waiting for your answer"),
  cancelled: () => t("Cancelled"),
  failed: () => t("Failed"),
  limit: () => t("Stopped at a limit"),
};
