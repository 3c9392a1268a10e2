// A unified diff as coloured lines.
import { h } from "./dom";

const LONGEST = 400; // lines that are shown of a change that was made
const HUNK = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/;
const KINDS: Record<string, string> = { "+": "added", "-": "removed", "@": "hunk", "\\": "hunk" };

interface Line {
  text: string;
  kind: string;
}

/** The lines of a diff that was made, without the names of its files, and how many were added and removed. */
export function diffView(diff: string, label: string): { element: HTMLElement; added: number; removed: number } {
  const lines = parsed(diff).filter(({ kind }) => kind !== "header");
  const element = view(lines.slice(0, LONGEST), label);
  if (lines.length > LONGEST) element.append(h("div", { class: "hunk" }, `… ${lines.length - LONGEST}`));
  const count = (wanted: string) => lines.filter(({ kind }) => kind === wanted).length;
  return { element, added: count("added"), removed: count("removed") };
}

/** Every line of a diff that a person decides about. */
export function wholeDiff(diff: string, label: string): HTMLElement {
  return view(parsed(diff), label);
}

function view(lines: Line[], label: string): HTMLElement {
  const element = h("div", { class: "diff", role: "group", label });
  for (const { text, kind } of lines) element.append(h("div", { class: kind }, text || " "));
  element.tabIndex = 0;
  return element;
}

/** What each line is, by its place: in a hunk, which says how many lines it has, `--- x` is the line `-- x` that goes. */
function parsed(diff: string): Line[] {
  let [before, after] = [0, 0];
  const lines = diff.replace(/\n$/, "").split("\n");
  const headed = lines.some((line) => HUNK.test(line));
  return lines.map((text) => {
    const mark = text.charAt(0);
    const kind = KINDS[mark] ?? "";
    if (before > 0 || after > 0) {
      before -= Number(!"+\\".includes(mark || " "));
      after -= Number(!"-\\".includes(mark || " "));
      return { text, kind };
    }
    const hunk = HUNK.exec(text);
    if (hunk) [before, after] = [Number(hunk[1] ?? 1), Number(hunk[2] ?? 1)];
    const inBody = hunk !== null || !headed || mark === "\\";
    return { text, kind: inBody ? kind : "header" };
  });
}
