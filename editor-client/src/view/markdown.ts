// Markdown as elements, made one by one: there is no markup in between that a model's text could break out of.
import { marked, type Token, type Tokens } from "marked";
import { button, h, t } from "./dom";
import type { ToHost } from "./messages";

type Tell = (message: ToHost) => void;

/** A text that grows: each call of `update` makes only the blocks anew that are different. */
export class Markdown {
  readonly element = h("div", { class: "markdown" });
  private shown: string[] = [];

  constructor(private readonly tell: Tell) {}

  update(text: string): void {
    const tokens = marked.lexer(text).filter((token) => token.type !== "space" && token.type !== "def");
    let same = 0;
    while (same < tokens.length && tokens[same]?.raw === this.shown[same]) same++;
    while (this.element.childNodes.length > same) this.element.lastChild?.remove();
    this.element.append(...tokens.slice(same).map((token) => this.block(token as Tokens.Generic)));
    this.shown = tokens.map((token) => token.raw);
  }

  /** Exactly one node for each block. */
  private block(token: Tokens.Generic): Node {
    switch (token.type) {
      case "heading":
        return h(`h${Math.min(6, Number(token.depth) + 1)}` as "h2", {}, ...this.inline(token.tokens));
      case "paragraph":
        return h("p", {}, ...this.inline(token.tokens));
      case "code":
        return this.code(token as Tokens.Code);
      case "blockquote":
        return h("blockquote", {}, ...(token.tokens ?? []).map((one) => this.block(one)));
      case "list":
        return this.list(token as Tokens.List);
      case "table":
        return this.table(token as Tokens.Table);
      case "hr":
        return h("hr");
      case "text":
        return h("span", {}, ...this.inline(token.tokens ?? [token]));
      default:
        return h("p", {}, token.raw); // HTML and whatever is new: as it was written
    }
  }

  private code(token: Tokens.Code): HTMLElement {
    const { tell } = this;
    const actions = h(
      "div",
      { class: "actions" },
      h("span", { class: "language" }, token.lang ?? ""),
      button(t("Copy"), () => tell({ type: "copy", text: token.text }), "copy"),
      button(t("Insert at Cursor"), () => tell({ type: "insert", text: token.text }), "insert"),
    );
    const pre = h("pre", { role: "group", label: t("Code") }, h("code", {}, token.text));
    pre.tabIndex = 0;
    return h("div", { class: "code" }, actions, pre);
  }

  private list(token: Tokens.List): HTMLElement {
    const items = token.items.map((item) => {
      const mark = item.task ? (item.checked ? "☑ " : "☐ ") : "";
      return h("li", {}, mark, ...item.tokens.filter((one) => one.type !== "space" && one.type !== "checkbox").map((one) => this.block(one)));
    });
    if (!token.ordered) return h("ul", {}, ...items);
    const list = h("ol", {}, ...items);
    list.start = Number(token.start) || 1;
    return list;
  }

  private table(token: Tokens.Table): HTMLElement {
    const cells = (row: Tokens.TableCell[], tag: "th" | "td") =>
      h("tr", {}, ...row.map((cell) => h(tag, {}, ...this.inline(cell.tokens))));
    const table = h("table", {}, cells(token.header, "th"), ...token.rows.map((row) => cells(row, "td")));
    return h("div", { class: "table" }, table);
  }

  private inline(tokens: Token[] = []): Node[] {
    return tokens.map((token) => this.span(token as Tokens.Generic));
  }

  private span(token: Tokens.Generic): Node {
    switch (token.type) {
      case "strong":
        return h("strong", {}, ...this.inline(token.tokens));
      case "em":
        return h("em", {}, ...this.inline(token.tokens));
      case "del":
        return h("del", {}, ...this.inline(token.tokens));
      case "codespan":
        return h("code", {}, String(token.text));
      case "br":
        return h("br");
      case "link":
        return this.link(String(token.href), this.inline(token.tokens));
      case "image": // nothing is loaded: the address is shown instead
        return this.link(String(token.href), [document.createTextNode(String(token.text || token.href))]);
      case "text":
        return token.tokens ? h("span", {}, ...this.inline(token.tokens)) : document.createTextNode(unescaped(token.raw));
      case "escape":
        return document.createTextNode(String(token.text));
      default:
        return document.createTextNode(token.raw);
    }
  }

  /** A link that the extension opens, after VS Code has asked; its address shows as the title. */
  private link(href: string, content: Node[]): HTMLElement {
    const link = h("a", { title: href, role: "link" }, ...content);
    link.tabIndex = 0;
    const open = (event: Event): void => {
      event.preventDefault();
      this.tell({ type: "link", href });
    };
    link.addEventListener("click", open);
    link.addEventListener("keydown", (event) => event.key === "Enter" && open(event));
    return link;
  }
}

const ENTITIES: Record<string, string> = { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"', "&#39;": "'" };

function unescaped(text: string): string {
  return text.replace(/&(?:lt|gt|amp|quot|#39);/g, (entity) => ENTITIES[entity] ?? entity);
}
