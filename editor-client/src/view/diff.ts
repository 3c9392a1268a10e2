// A unified diff as coloured lines.
import { h } from "./dom";

const LONGEST = 400; // lines that are shown

/** The lines of a diff that say something, and how many were added and removed. */
export function diffView(diff: string, label: string): { element: HTMLElement; added: number; removed: number } {
  const lines = diff.split("\n").filter((line) => !/^(---|\+\+\+|diff |index |\\ )/.test(line));
  while (lines.at(-1) === "") lines.pop();
  const element = h("div", { class: "diff", role: "group", label });
  for (const line of lines.slice(0, LONGEST)) {
    element.append(h("div", { class: KINDS[line[0] ?? " "] ?? "" }, line || " "));
  }
  if (lines.length > LONGEST) element.append(h("div", { class: "hunk" }, `… ${lines.length - LONGEST}`));
  element.tabIndex = 0;
  const count = (mark: string) => lines.filter((line) => line.startsWith(mark)).length;
  return { element, added: count("+"), removed: count("-") };
}

const KINDS: Record<string, string> = { "+": "added", "-": "removed", "@": "hunk" };
