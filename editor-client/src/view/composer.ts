// Where a person writes: a field that grows, attachments, completion after `@` and `/`, send and stop.
import { button, h, t } from "./dom";
import type { Attachment, Completion, Draft, ToHost } from "./messages";

export class Composer {
  readonly element = h("form", { label: t("Message"), class: "composer" });
  readonly usage = h("span", { class: "usage", label: t("Tokens of this turn") });
  readonly field = h("textarea", { label: t("Message to Pygent") });
  private readonly chips = h("div", { class: "chips" });
  private readonly list = h("ul", { class: "completions", role: "listbox", label: t("Completions"), hidden: true });
  private readonly send: HTMLButtonElement;
  private readonly stop: HTMLButtonElement;
  private attachments: Attachment[] = [];
  private items: Completion[] = [];
  private chosen = 0;
  private request = 0;
  private last = "";
  private quiet = true; // until the draft of before is back

  constructor(
    private readonly tell: (message: ToHost) => void,
    private readonly running: () => boolean,
  ) {
    this.send = button(t("Send"), () => this.submit("steer"), "send");
    this.stop = button(t("Stop"), () => tell({ type: "cancel" }), "stop");
    this.stop.classList.add("stop");
    const tools = h(
      "div",
      { class: "tools" },
      button(t("Attach File"), () => tell({ type: "attach", what: "file" }), "file"),
      button(t("Attach Selection"), () => tell({ type: "attach", what: "selection" }), "selection"),
      button(t("Attach Problems of the Open File"), () => tell({ type: "attach", what: "problems" }), "problem"),
      this.usage,
      this.stop,
      this.send,
    );
    this.field.rows = 1;
    this.field.placeholder = t("Ask Pygent, @ for files, / for commands");
    this.field.setAttribute("aria-autocomplete", "list");
    this.field.setAttribute("aria-controls", (this.list.id = "completions"));
    this.element.append(this.list, this.chips, this.field, tools);
    this.field.addEventListener("input", () => this.typed());
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("blur", () => this.close());
    this.element.addEventListener("submit", (event) => event.preventDefault());
    this.refresh();
  }

  /** Show whether a turn runs. */
  refresh(): void {
    this.stop.hidden = !this.running();
  }

  /** Put a draft back, before what was typed since. */
  restore(draft: Draft): void {
    this.quiet = false;
    this.field.value = [draft.text, this.field.value].filter((text) => text.trim()).join("\n");
    this.attachments = [...draft.attachments, ...this.attachments];
    this.draw();
  }

  attach(attachment: Attachment): void {
    if (!this.attachments.some((one) => one.label === attachment.label)) this.attachments.push(attachment);
    this.draw();
    this.field.focus();
  }

  /** Show completions that were asked for, unless more was typed since. */
  complete(request: number, items: Completion[]): void {
    if (request === this.request) this.offer(items);
  }

  private draw(): void {
    const chips = this.attachments.map((one) => {
      const remove = button(t("Remove {0}", one.label), () => {
        this.attachments = this.attachments.filter((other) => other !== one);
        this.draw();
        this.field.focus();
      }, "close");
      return h("span", { class: "chip", title: one.label }, h("span", {}, one.label), remove);
    });
    this.chips.replaceChildren(...chips);
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, 240)}px`;
    const draft = { text: this.field.value, attachments: this.attachments };
    if (!this.quiet) this.tell({ type: "draft", draft });
  }

  private typed(): void {
    this.quiet = false;
    this.draw();
    const before = this.field.value.slice(0, this.field.selectionEnd);
    this.request++;
    if (/(^|\s)@\S*$|^\/\S*$/.test(before)) this.tell({ type: "complete", request: this.request, text: before });
    else this.offer([]);
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (this.items.length && this.choose(event)) event.preventDefault();
    else this.command(event);
  }

  private command(event: KeyboardEvent): void {
    const recalls = event.key === "ArrowUp" && !this.field.value && this.last;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit(event.ctrlKey || event.metaKey ? "queue" : "steer");
    } else if (event.key === "Escape" && this.running()) {
      this.tell({ type: "cancel" });
    } else if (recalls) {
      event.preventDefault();
      this.field.value = this.last;
      this.draw();
    }
  }

  /** A key for the open list of completions; false if it is none. */
  private choose(event: KeyboardEvent): boolean {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.mark((this.chosen + step + this.items.length) % this.items.length);
    else if (event.key === "Enter" || event.key === "Tab") this.accept(this.items[this.chosen]);
    else if (event.key === "Escape") this.close();
    else return false;
    return true;
  }

  /** Offer none, not even those that are on their way. */
  private close(): void {
    this.request++;
    this.offer([]);
  }

  private offer(items: Completion[]): void {
    this.items = items;
    this.list.hidden = !items.length;
    this.list.replaceChildren(
      ...items.map((item, number) => {
        const row = h("li", { role: "option" }, h("span", {}, item.label), h("span", { class: "facts" }, item.detail ?? ""));
        row.id = `completion-${number}`;
        row.addEventListener("mousedown", (event) => {
          event.preventDefault(); // the field keeps the focus
          this.accept(item);
        });
        return row;
      }),
    );
    this.mark(0);
  }

  private mark(number: number): void {
    this.chosen = number;
    [...this.list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === number)));
    this.list.children[number]?.scrollIntoView({ block: "nearest" });
    if (this.items.length) this.field.setAttribute("aria-activedescendant", `completion-${number}`);
    else this.field.removeAttribute("aria-activedescendant");
  }

  private accept(item: Completion | undefined): void {
    if (!item) return;
    const at = this.field.selectionEnd;
    const before = this.field.value.slice(0, at).replace(/[@/]\S*$/, "") + item.insert;
    this.field.value = before + this.field.value.slice(at);
    this.field.setSelectionRange(before.length, before.length);
    this.close();
    if (item.attachment) this.attach(item.attachment);
    this.draw();
  }

  private submit(deliver: "steer" | "queue"): void {
    const text = this.field.value.trim();
    if (!text) return this.field.focus();
    this.tell({ type: "send", text, attachments: this.attachments, deliver });
    this.last = text;
    this.field.value = "";
    this.attachments = [];
    this.close();
    this.draw();
    this.field.focus();
  }
}
