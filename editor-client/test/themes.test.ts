// The chat in the four kinds of theme: text that can be read, and pictures for the documentation to be looked at.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOP } from "./shop";
import { steps, until, VERSIONS, type Reply, type Step, type Workbench } from "./workbench";

const WHY = `The loop of \`total()\` *replaces* the result; it should **add** to it.

| prices | now | right |
| --- | --- | --- |
| \`[1, 2]\` | 2 | 3 |

\`\`\`python
result += price
\`\`\`

> See [the tutorial](https://docs.python.org/3/tutorial/).
`;
const call = (name: string, args: Record<string, unknown>) => ({ name, arguments: args });
const first = "Why is total";
const REPLIES: Reply[] = [
  { match: { first: "Look around" }, tool_calls: [call("bash", { cmd: "ls -l" })] },
  { match: { first }, text: WHY, tool_calls: [call("edit_file", { path: "shop.py", old: "result = price\n", new: "result += price\n" })] },
  { match: { first }, tool_calls: [call("bash", { cmd: "python3 -c 'import shop; print(shop.total([1, 2]))'" })] },
  { match: { first }, tool_calls: [call("ask_user", { prompt: "Shall I write a test too?", options: ["Yes", "No"] })] },
];
const THEMES = {
  dark: ["Default Dark Modern", "vscode-dark"],
  light: ["Default Light Modern", "vscode-light"],
  "high-contrast": ["Default High Contrast", "vscode-high-contrast"],
  "high-contrast-light": ["Default High Contrast Light", "vscode-high-contrast-light"],
} as const;

for (const version of VERSIONS) {
  const options = { version, replies: REPLIES, files: { "shop.py": SHOP }, open: "shop.py" };
  const themes = Object.entries(THEMES).map(([name, [theme, kind]]) => [`everything can be read in ${name}`, reads(name, theme, kind)] as const);
  test(`themes of VS Code ${version.name}`, (t) => steps(t, options, { "a conversation with something of everything": talks, ...Object.fromEntries(themes) }));
}

const talks: Step = async (bench) => {
  await bench.status("Pygent: idle");
  await bench.command("Pygent: Chat");
  await widen(bench);
  await bench.say("Look around");
  await bench.chat.locator(".card.waiting").waitFor();
  await bench.chat.getByRole("button", { name: "Stop" }).click();
  await bench.chat.locator(".end.cancelled").waitFor();
  await bench.command("Pygent: New Session");
  await bench.chat.locator(".hints button").first().waitFor();
  await bench.say("Why is total() wrong? Mend it.");
  await bench.chat.locator(".card.waiting").waitFor();
  await bench.chat.locator(".scroller").evaluate((one) => (one.scrollTop = 0));
  await bench.picture(`chat-${bench.version.name}`);
  await bench.chat.locator(".scroller").evaluate((one) => (one.scrollTop = one.scrollHeight));
  await bench.picture(`approval-${bench.version.name}`);
  await bench.chat.getByRole("button", { name: "Deny" }).click();
  await bench.chat.getByRole("group", { name: /^Question: / }).waitFor();
  await bench.chat.locator(".health", { hasText: /./ }).waitFor({ state: "hidden" });
};

/** As a person has it who looks at the chat rather than at the editor. */
async function widen({ page }: Workbench): Promise<void> {
  await until(async () => {
    const edge = await page.locator(".part.sidebar").boundingBox();
    if (!edge || edge.width > 400) return edge;
    const [x, y] = [edge.x + edge.width + 1, 300];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 170, y, { steps: 4 });
    await page.mouse.up();
    return undefined;
  });
}

function reads(name: string, theme: string, kind: string): Step {
  return async (bench) => {
    bench.set({ "workbench.colorTheme": theme });
    const body = bench.chat.locator("body");
    await until(() => body.evaluate((one, wanted) => one.classList.contains(wanted), kind));
    const faint = await until(async () => {
      const found = await body.evaluate(faintTexts);
      return found.length ? undefined : [];
    }, 5000).catch(() => body.evaluate(faintTexts)); // colours are faded into one another
    await bench.page.mouse.move(400, 15);
    await bench.picture(`theme-${name}-${bench.version.name}`);
    assert.deepEqual(faint, [], "text on its background below 4.5 to 1 (WCAG 2.1, 1.4.3)");
  };
}

/** Runs in the page: texts whose colour is too near to that of what is behind them. */
function faintTexts(body: HTMLElement): string[] {
  type Colour = [red: number, green: number, blue: number, alpha: number];
  const colour = (css: string): Colour => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = (css.match(/-?[\d.]+/g) ?? []).map(Number);
    return css.startsWith("color(") ? [red * 255, green * 255, blue * 255, alpha] : [red, green, blue, alpha];
  };
  const over = ([r, g, b, alpha]: Colour, [red, green, blue]: Colour): Colour => {
    const mix = (above: number, below: number) => above * alpha + below * (1 - alpha);
    return [mix(r, red), mix(g, green), mix(b, blue), 1];
  };
  const behind = (element: Element | null): Colour => {
    if (!element) return colour(sample);
    return over(colour(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  };
  const light = ([red, green, blue]: Colour) => {
    const [r = 0, g = 0, b = 0] = [red, green, blue].map((one) => (one <= 10.31475 ? one / 3294.6 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const opacity = (element: Element | null): number => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const probe = body.appendChild(document.createElement("i"));
  probe.style.color = "var(--vscode-sideBar-background)";
  const sample = getComputedStyle(probe).color;
  probe.remove();

  const faint: string[] = [];
  const look = (element: Element, css: string, text: string) => {
    const ground = behind(element);
    const [red, green, blue, alpha] = colour(css);
    const [a, b] = [light(over([red, green, blue, alpha * opacity(element)], ground)), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${element.tagName}.${element.className} “${text.slice(0, 30)}” ${css} on ${ground.map(Math.round).join()}`);
  };
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement: parent, textContent: text } = walker.currentNode;
    if (parent && text?.trim() && parent.tagName !== "SCRIPT" && parent.checkVisibility()) look(parent, getComputedStyle(parent).color, text);
  }
  for (const field of body.querySelectorAll<HTMLInputElement>("input, textarea")) look(field, getComputedStyle(field, "::placeholder").color, field.placeholder);
  return faint;
}
