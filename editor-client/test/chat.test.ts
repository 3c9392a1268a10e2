// The chat beside the editor: what is attached, inserted, picked and completed, and what a screen reader says.
import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { nameless } from "./names";
import { CLIENT, steps, until, VERSIONS, type Reply, type Request, type Step, type Workbench } from "./workbench";

const SHOP = `"""A small shop."""


def total(prices):
    return 42


def empty():
    return []
`;
const NOTES = "The price of tea is seven.\n";
const CODE = "total = sum";
const write = { name: "write_file", arguments: { path: "done.txt", content: "done\n" } };
const REPLIES: Reply[] = [
  { match: { first: "What does this do" }, text: "It is always 42.", usage: { prompt_tokens: 1200, completion_tokens: 34, total_tokens: 1234 } },
  { match: { first: "Read all of it" }, text: "I have read it." },
  { match: { first: "Give me code" }, text: `Here:\n\n\`\`\`python\n${CODE}\n\`\`\`\n` },
  { match: { first: "Who are you" }, text: "One of them." },
  { match: { first: "Leave a file" }, tool_calls: [write] },
  { match: { first: "Leave a file" }, text: "It is there." },
  { match: { first: "Raise the total" }, tool_calls: [{ name: "edit_file", arguments: { path: "shop.py", old: "42", new: "43" } }] },
  { match: { first: "Raise the total", last: "how high" }, text: "By one." },
  { match: { first: "Raise the total" }, text: "Raised." },
  { match: { first: "May I" }, tool_calls: [{ name: "bash", arguments: { cmd: "date" } }] },
  { match: { first: "May I" }, text: "Then I don't." },
];
const FILES = {
  "shop.py": SHOP,
  "notes.md": NOTES,
  "pygent.toml": 'persona_name = "Ada"\ntask_personas = [{ name = "Grace", description = "who counts twice" }]\n',
  "old/pygent.toml": 'modle = "x"\n',
};

for (const version of VERSIONS) {
  test(`the chat beside the editor in VS Code ${version.name}`, (t) =>
    steps(t, { version, replies: REPLIES, files: FILES, open: "shop.py" }, {
      "a question about the selection takes its lines along": asks,
      "a file, the selection and the problems are attached by button": attaches,
      "code is copied, and inserted at the cursor": inserts,
      "an earlier session is picked and shown": resumes,
      "persona and model are picked, and the model is told": chooses,
      "files and commands are completed by the keyboard alone": completes,
      "the notification of a task that ended applies its changes": applies,
      "what the person has changed meanwhile is kept, and told": keeps,
      "a task's conversation opens from its row, and it can be spoken to": speaks,
      "what is set up is listed": checks,
      "every control has a name for a screen reader": names,
      "`pygent.config` is checked as it is typed": configures,
      "the walkthrough has four steps": walks,
      "it is small and quick to start": measures,
    }));
}

const asks: Step = async (bench) => {
  const { page, chat } = bench;
  await bench.command("Pygent: Chat"); // once, so that its page is there
  await focused(bench); // and takes the keys no more
  await line(bench, "def.total").click();
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+ArrowDown");
  await page.keyboard.press("Shift+End");
  await page.keyboard.press("Control+Alt+y");
  await chat.locator(".chip", { hasText: "shop.py:4–5" }).waitFor();
  await focused(bench);
  await page.keyboard.type("What does this do?");
  await page.keyboard.press("Enter");
  await chat.getByText("It is always 42.").waitFor();
  const asked = last(bench);
  assert.match(asked, /What does this do\?/);
  assert.match(asked, /shop\.py/);
  assert.match(asked, /def total\(prices\):\n {4}return 42/);
  assert.doesNotMatch(asked, /def empty/, "only what is selected");
  assert.equal(await chat.locator(".chip").count(), 0);
  await until(async () => (await chat.locator(".usage").innerText()).includes("1.2k tokens"));
};

const attaches: Step = async (bench) => {
  const { page, chat } = bench;
  await fresh(bench);
  await line(bench, "def.empty").click();
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+End");
  await chat.getByRole("button", { name: "Attach Selection" }).click();
  await chat.locator(".chip", { hasText: "shop.py:8" }).waitFor();
  await chat.getByRole("button", { name: "Attach File" }).click();
  await page.locator(".quick-input-widget input").fill("notes");
  await page.locator(".quick-input-list .monaco-list-row", { hasText: "notes.md" }).click();
  await chat.locator(".chip", { hasText: "notes.md" }).waitFor();
  await open(bench, "old/pygent.toml");
  await page.locator(".squiggly-error, .squiggly-warning").first().waitFor();
  await chat.getByRole("button", { name: "Attach Problems of the Open File" }).click();
  await chat.locator(".chip", { hasText: "old/pygent.toml: 1 problem(s)" }).waitFor();
  await bench.say("Read all of it");
  await chat.getByText("I have read it.").waitFor();
  const asked = last(bench);
  for (const part of [/def empty/, /The price of tea is seven/, /modle/]) assert.match(asked, part);
  await open(bench, "shop.py");
};

const inserts: Step = async (bench) => {
  const { page, chat } = bench;
  await fresh(bench);
  await bench.say("Give me code");
  await chat.locator(".code").waitFor();
  await chat.getByRole("button", { name: "Copy" }).click();
  await until(async () => (await page.evaluate(() => navigator.clipboard.readText())) === CODE);
  await line(bench, "return.42").click();
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await chat.getByRole("button", { name: "Insert at Cursor" }).click();
  await line(bench, "total.=.sum").waitFor();
  await page.locator(".monaco-editor.focused").waitFor(); // so the keys go there at once
  await page.keyboard.press("Control+z");
  await page.keyboard.press("Control+z");
  await line(bench, "total.=.sum").waitFor({ state: "detached" });
};

const resumes: Step = async (bench) => {
  const { page, chat } = bench;
  await fresh(bench);
  await chat.getByRole("button", { name: "Sessions" }).click();
  const rows = page.locator(".quick-input-list .monaco-list-row");
  await rows.filter({ hasText: "Give me code" }).waitFor();
  await rows.filter({ hasText: "What does this do" }).click();
  await chat.locator(".person", { hasText: "What does this do?" }).waitFor();
  await chat.getByText("It is always 42.").waitFor();
  await chat.locator("header .title", { hasText: "What does this do?" }).waitFor();
};

const chooses: Step = async (bench) => {
  const { page, chat } = bench;
  await fresh(bench);
  const rows = page.locator(".quick-input-list .monaco-list-row");
  await chat.locator("header").getByRole("button", { name: "Ada" }).click();
  await rows.filter({ hasText: "who counts twice" }).click();
  await chat.locator("header").getByRole("button", { name: "Grace" }).waitFor();
  await chat.locator("header").getByRole("button", { name: "gpt-4.1-mini" }).click();
  await rows.filter({ hasText: "replayed" }).click();
  await chat.locator("header").getByRole("button", { name: "replayed" }).waitFor();
  await bench.say("Who are you?");
  await chat.getByText("One of them.").waitFor();
  const request = bench.requests.at(-1);
  assert.equal(request?.model, "replayed");
  assert.match(request.messages[0]?.content ?? "", /Grace[^]*who counts twice/);
};

const completes: Step = async (bench) => {
  const { page, chat } = bench;
  await fresh(bench);
  await bench.command("Pygent: Chat");
  await focused(bench);
  await page.keyboard.type("see @");
  const chosen = chat.locator("[role=option][aria-selected=true]");
  await chat.getByRole("option").nth(1).waitFor();
  const first = await chosen.innerText();
  await page.keyboard.press("ArrowDown");
  await until(async () => (await chosen.innerText()) !== first);
  const field = chat.locator("textarea");
  assert.equal(await field.getAttribute("aria-activedescendant"), await chosen.getAttribute("id"));
  await page.keyboard.press("ArrowUp");
  await until(async () => (await chosen.innerText()) === first);
  await page.keyboard.type("old/");
  await until(async () => (await chosen.innerText()).includes("old/pygent.toml"));
  await page.keyboard.press("Tab");
  assert.equal(await field.inputValue(), "see @old/pygent.toml ");
  await chat.locator(".chip", { hasText: "old/pygent.toml" }).waitFor();
  await page.keyboard.press("Shift+Tab"); // from the field back to the button that takes it away
  await page.keyboard.press("Enter");
  await chat.locator(".chip").waitFor({ state: "detached" });
  await focused(bench);
  await page.keyboard.press("Shift+Home");
  await page.keyboard.type("/pers");
  await until(async () => (await chosen.innerText()).includes("/persona"));
  await page.keyboard.press("Enter");
  assert.match(await field.inputValue(), /^\/persona ?$/);
  await page.keyboard.press("Enter");
  await page.locator(".quick-input-list .monaco-list-row", { hasText: "Ada" }).waitFor();
  await page.keyboard.press("Escape");
};

const applies: Step = async (bench) => {
  await delegate(bench, "Leave a file");
  const ended = await bench.notified(/Leave a file.* completed/);
  await ended.getByRole("button", { name: "Apply", exact: true }).click();
  await until(() => bench.exists("done.txt"));
  assert.equal(bench.read("done.txt"), "done\n");
  await bench.notified("1 file(s) applied");
};

const keeps: Step = async (bench) => {
  await delegate(bench, "Raise the total");
  await bench.task("Raise the total").filter({ hasText: "completed" }).waitFor();
  await line(bench, "return.42").click();
  await bench.page.keyboard.press("End");
  await bench.page.keyboard.type("0");
  await line(bench, "return.420").waitFor();
  const ended = await bench.notified(/Raise the total.* completed/); // which VS Code puts away after a while
  await ended.getByRole("button", { name: "Apply", exact: true }).click();
  const told = await bench.notified(/0 file\(s\) applied; left as they are: shop\.py \(/);
  await told.getByRole("button", { name: "Show Changes" }).click();
  await bench.page.locator(".tab.active", { hasText: "changes of the task" }).waitFor();
  await bench.page.locator(".tabs-container .tab", { hasText: /^shop\.py$/ }).click(); // by its name a comparison may be found
  await line(bench, "return.420").waitFor();
  assert.equal(bench.read("shop.py"), SHOP, "nothing is saved");
};

const speaks: Step = async (bench) => {
  const { chat } = bench;
  await bench.task("Raise the total").first().click();
  await chat.locator("header.task .title", { hasText: "Raise the total" }).waitFor();
  await chat.getByText("Raised.").waitFor();
  await bench.say("how high?");
  await chat.getByText("By one.").waitFor();
  assert.match(last(bench), /how high\?/);
};

const checks: Step = async (bench) => {
  await bench.command("Pygent: Check Setup");
  const rows = bench.page.locator(".quick-input-list .monaco-list-row");
  await rows.filter({ hasText: /replayed|answers|endpoint/ }).first().waitFor();
  await bench.page.keyboard.press("Escape");
};

const names: Step = async (bench) => {
  await fresh(bench);
  await bench.say("May I look at the clock?");
  await bench.chat.locator(".card.waiting").waitFor();
  assert.deepEqual(await bench.chat.locator("body").evaluate(nameless), []);
  const said = await bench.chat.getByRole("group", { name: /^Approval: / }).getByRole("button").allInnerTexts();
  assert.deepEqual(said, ["Allow", "Allow for Session", "Deny"]);
  await bench.chat.getByRole("button", { name: "Deny" }).click();
  await bench.chat.locator(".card.waiting").waitFor({ state: "detached" });
};

const walks: Step = async (bench) => {
  const { page } = bench;
  await bench.command("Welcome: Open Walkthrough...");
  const row = page.locator(".quick-input-list .monaco-list-row", { hasText: "Get Started with Pygent" }).first();
  await until(async () => {
    // What is written as the palette goes is lost.
    await page.locator(".quick-input-widget input").fill("Get Started with Pygent", { timeout: 3000 });
    await row.click({ timeout: 3000 });
    return true;
  });
  const titles = page.locator(".gettingStartedContainer .getting-started-step .step-title");
  await titles.nth(3).waitFor();
  assert.deepEqual(await titles.allInnerTexts(), ["Install the server", "Give it a model", "Ask for something", "Delegate a task"]);
};

const configures: Step = async (bench) => {
  const { page } = bench;
  mkdirSync(path.join(bench.workspace, ".vscode"));
  writeFileSync(path.join(bench.workspace, ".vscode/settings.json"), '{ "pygent.config": { "max_tasks": "three" } }');
  await open(bench, ".vscode/settings.json");
  const problem = page.locator(".squiggly-warning");
  await problem.first().waitFor();
  await page.locator(".monaco-editor.focused").waitFor();
  await page.keyboard.press("F8");
  await page.getByText(/Incorrect type\. Expected "integer"/).first().waitFor();
};

/** Printed, and judged by nobody: how long VS Code says that it took, and how much there is. */
const measures: Step = async (bench, t) => {
  await bench.page.keyboard.press("Escape");
  await bench.command("Developer: Show Running Extensions");
  const row = bench.page.locator(".runtime-extensions-editor .monaco-list-row", { hasText: "Pygent" });
  const took = await until(async () => /Activation:.*?(\d+)ms/.exec(await row.first().innerText())?.[1]);
  const kilobytes = Math.round(statSync(path.join(CLIENT, "dist/pygent.vsix")).size / 1000);
  t.diagnostic(`activation in VS Code ${bench.version.name}: ${took} ms; pygent.vsix: ${kilobytes} kB`);
};

// -- what the steps have in common ---------------------------------------------------------------

/** Begin another session, once the page shows that it is one. */
async function fresh(bench: Workbench): Promise<void> {
  await bench.command("Pygent: New Session");
  await bench.chat.locator(".hints button").first().waitFor();
  await focused(bench);
}

async function delegate(bench: Workbench, prompt: string): Promise<void> {
  await bench.delegate(prompt);
  await bench.page.locator(".quick-input-list .monaco-list-row", { hasText: "Any persona" }).click();
}

function focused(bench: Workbench): Promise<boolean> {
  return until(() => bench.chat.locator("textarea").evaluate((field) => field === document.activeElement && document.hasFocus()));
}

async function open(bench: Workbench, name: string): Promise<void> {
  await until(async () => {
    await bench.page.keyboard.press("Control+p");
    await bench.page.locator(".quick-input-widget input").fill(name, { timeout: 3000 });
    await bench.page.locator(".quick-input-list .monaco-list-row.focused", { hasText: path.basename(name) }).click({ timeout: 3000 });
    return true;
  });
  await bench.page.locator(".tab.active", { hasText: path.basename(name) }).waitFor();
}

/** A line of the editor; spaces are points, as VS Code shows other spaces. */
function line(bench: Workbench, text: string) {
  return bench.page.locator(".view-line", { hasText: new RegExp(text) }).first();
}

/** All that the person said in the request that was last. */
function last(bench: Workbench): string {
  const request: Request | undefined = bench.requests.at(-1);
  const said = request?.messages.filter(({ role }) => role === "user").map(({ content }) => content);
  return said?.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join("\n") ?? "";
}
