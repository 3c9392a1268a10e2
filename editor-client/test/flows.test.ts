// What a person does with Pygent, in the oldest and the newest workbench.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { SHOP } from "./shop";
import { steps, until, VERSIONS, type Reply, type Workbench } from "./workbench";

const HOSTILE = `<img src=x onerror="parent.stolen=1"><script>parent.stolen=1</script>
[run](command:workbench.action.terminal.new) [js](javascript:parent.stolen=1) ![pixel](http://evil.example/p.png) [loop](shop.py:7)`;
const EXPLANATION = `The **total** is wrong: each turn of the loop *replaces* the result.

1. \`result\` starts at 0
2. every price overwrites it

\`\`\`python
def total(prices):
    return sum(prices)
\`\`\`

| case | now | right |
| --- | --- | --- |
| \`[1, 2]\` | 2 | 3 |

${HOSTILE}
`;
const call = (name: string, args: Record<string, unknown>) => ({ tool_calls: [{ name, arguments: args }] });
const bash = (cmd: string) => call("bash", { cmd });
const SLEEP = `sleep ${10_000 + process.pid}`; // no other's
const FIX = { path: "shop.py", old: "result = price\n", new: "result += price\n" };

function story(first: string, ...replies: Reply[]): Reply[] {
  return replies.map((reply) => ({ match: { first }, ...reply }));
}

const REPLIES: Reply[] = [
  ...story("Explain", { text: EXPLANATION, fragment: 6, delay: 0.05, reasoning: "Look at the loop." }),
  ...story("Run it", bash("echo ran-$((6*7))"), { text: "It says 42." }),
  ...story("Twice", bash("date +%Y"), bash("date +%Y"), { text: "The same year." }),
  ...story("Clean up", bash("rm -rf ."), { text: "Then I leave it." }),
  ...story("Fix", call("edit_file", FIX), { text: "Fixed: it adds up now." }),
  ...story("Count to three", bash("seq 3"), { text: "With dashes: 1-2-3." }, { text: "And backwards: 3-2-1." }),
  ...story("Wait for it", bash(`echo begun; ${SLEEP}`), { text: "never" }),
  ...story("Tell a long story", { text: "Once upon a time. ".repeat(400), fragment: 18, delay: 0.2 }),
  ...story("Write the tests", call("write_file", { path: "test_shop.py", content: "import shop\n" }), call("edit_file", FIX), { text: "Written." }),
  ...story("What colour", call("ask_user", { prompt: "Which colour?", options: ["red", "green"] }), { text: "So be it." }),
  ...story("Still there", { text: "Yes, still here." }),
];

for (const version of VERSIONS) {
  test(`Pygent in VS Code ${version.name}`, (t) =>
    steps(t, { version, replies: REPLIES, files: { "shop.py": SHOP }, open: "shop.py" }, {
      "it starts, and the chat opens by its command": starts,
      "an answer streams in, and what is hostile in it does nothing": streams,
      "a command is allowed in the notification": allows,
      "a command is allowed for the session in the chat": allowsForSession,
      "a command is denied with a reason": denies,
      "an edit shows in the editor, and one Ctrl+Z takes it back": edits,
      "a question is answered in the chat": answers,
      "what is said meanwhile joins the turn, or follows it": joins,
      "stop ends the command and the turn": stops,
      "the notification's cancel ends the model's answer where the chat is out of sight": cancels,
      "a task is delegated, watched, compared and applied": delegates,
      "a shell's task is seen as it works, and ended here": followsAShell,
      "a window reloaded in mid-turn shows the conversation again": reloads,
      "a server that crashes is started again, and nothing typed is lost": crashes,
      "one that crashes again and again is started later and later": crashesOn,
    }));
}

/** Begin another session: what is said at a machine's speed would still go to the one before. */
async function fresh(bench: Workbench): Promise<void> {
  await bench.command("Pygent: New Session");
  await bench.chat.locator(".hints button").first().waitFor();
}

async function starts(bench: Workbench): Promise<void> {
  await bench.status("Pygent: idle");
  await bench.command("Pygent: Chat");
  await bench.chat.locator(".hints button").first().waitFor();
}

async function streams(bench: Workbench): Promise<void> {
  const { chat } = bench;
  await bench.say("Explain what is wrong with total()");
  await bench.status("Pygent: busy");
  await chat.locator(".assistant[aria-busy=true] ol").waitFor();
  await chat.locator(".assistant[aria-busy=false] table").waitFor();
  await bench.status("Pygent: idle");
  assert.match(await chat.locator(".assistant").innerText(), /<img src=x onerror/);
  assert.equal(await chat.locator(".assistant").locator("img, script, [onerror]").count(), 0);
  await chat.locator("a", { hasText: "js" }).click();
  await chat.locator("a", { hasText: "run" }).click();
  assert.equal(await bench.page.locator(".notifications-toasts .notification-list-item").count(), 0);
  await chat.locator("a", { hasText: "pixel" }).click(); // the web is opened outside, and only after VS Code has asked
  const asked = bench.page.locator(".monaco-dialog-box", { hasText: "http://evil.example/p.png" });
  await asked.getByRole("button", { name: "Cancel" }).click();
  await chat.locator("a", { hasText: "loop" }).click();
  await bench.status("Ln 7, Col 1");
  for (const frame of bench.page.frames()) assert.equal(await frame.evaluate("window.stolen"), undefined);
  assert.match(await chat.locator(".usage").innerText(), /tokens/);
  await chat.getByRole("button", { name: "Copy" }).click();
}

async function allows(bench: Workbench): Promise<void> {
  await fresh(bench);
  await bench.say("Run it");
  await bench.chat.locator(".card.waiting").waitFor();
  await bench.status("Pygent: waiting");
  await (await bench.notified("echo ran-")).getByRole("button", { name: "Allow", exact: true }).click();
  await bench.chat.getByText("It says 42.").waitFor();
  assert.equal(await bench.chat.locator(".card.waiting").count(), 0);
  await bench.chat.locator("details.completed", { hasText: "echo ran-" }).locator("summary").click();
  await bench.chat.getByText("ran-42").waitFor();
}

async function allowsForSession(bench: Workbench): Promise<void> {
  await fresh(bench);
  await bench.say("Twice the same");
  await bench.toast("date").waitFor();
  await bench.chat.getByRole("button", { name: "Allow for Session" }).click();
  await bench.toast("date").waitFor({ state: "hidden" });
  await bench.chat.getByText("The same year.").waitFor();
  assert.equal(await bench.chat.locator(".card").count(), 1, "the second time is not asked about");
}

async function denies(bench: Workbench): Promise<void> {
  await fresh(bench);
  await bench.say("Clean up");
  const toast = bench.toast("rm -rf");
  await toast.waitFor();
  const card = bench.chat.locator(".card.waiting");
  await card.locator("input").fill("too much");
  await card.getByRole("button", { name: "Deny" }).click();
  await bench.chat.getByText("Then I leave it.").waitFor();
  assert.match(bench.requests.at(-1)?.messages.at(-1)?.content ?? "", /too much/);
  await toast.waitFor({ state: "hidden" });
  await bench.command("Notifications: Show Notifications"); // the bell keeps it
  await bench.page.locator(".notifications-center .notification-list-item", { hasText: "rm -rf" }).getByRole("button", { name: "Allow", exact: true }).click();
  await bench.page.getByText("That was answered already, or waits no longer.").first().waitFor();
  await bench.command("Notifications: Clear All Notifications"); // while the bell is open nothing else is shown
  assert.ok(bench.exists("shop.py"));
}

async function edits(bench: Workbench): Promise<void> {
  const { page, chat } = bench;
  await fresh(bench);
  await bench.say("Fix the total");
  await chat.getByText("Fixed: it adds up now.").waitFor();
  await page.locator(".view-line", { hasText: /result.\+=.price/ }).waitFor();
  assert.equal(bench.read("shop.py"), SHOP, "the person has not saved it");
  await chat.locator(".change .added", { hasText: "+=" }).waitFor();
  await bench.picture(`edit-${bench.version.name}`);
  await page.locator(".view-line").first().click();
  await page.keyboard.press("Control+z");
  await page.locator(".view-line", { hasText: /result.=.price/ }).waitFor();
  await page.keyboard.press("Control+Shift+z");
  await page.locator(".view-line", { hasText: /result.\+=.price/ }).waitFor();
  await chat.locator(".change").getByRole("button", { name: "Undo" }).click();
  await page.locator(".view-line", { hasText: /result.=.price/ }).waitFor();
  await chat.locator(".change.undone").waitFor();
  await bench.command("Pygent: Redo");
  await page.locator(".view-line", { hasText: /result.\+=.price/ }).waitFor();
  await bench.command("Pygent: Undo Last Turn");
  await page.locator(".view-line", { hasText: /result.=.price/ }).waitFor();
  await chat.locator(".change.undone").waitFor();
}

async function answers(bench: Workbench): Promise<void> {
  await fresh(bench);
  await bench.say("What colour is it?");
  await bench.chat.getByRole("button", { name: "green" }).click();
  await bench.chat.getByText("So be it.").waitFor();
  assert.match(bench.requests.at(-1)?.messages.at(-1)?.content ?? "", /green/);
}

async function joins(bench: Workbench): Promise<void> {
  const { chat } = bench;
  await fresh(bench);
  await bench.say("Count to three");
  await chat.locator(".card.waiting").waitFor();
  await bench.say("with dashes, please");
  await chat.locator("textarea").fill("and backwards");
  await chat.locator("textarea").press("Control+Enter");
  const unheard = chat.locator(".unheard p");
  await unheard.nth(1).waitFor();
  assert.match((await unheard.allInnerTexts()).join(), /^with dashes, please\s[^]*,and backwards\s/);
  await chat.locator("textarea").pressSequentially("@sho");
  await chat.getByRole("option", { name: "shop.py" }).waitFor(); // the server answers, after it has taken the others
  await chat.locator("textarea").fill("");
  await chat.getByRole("button", { name: "Allow", exact: true }).click();
  await chat.getByText("And backwards: 3-2-1.").waitFor();
  const said = (at: number) => JSON.stringify(bench.requests.at(at)?.messages.slice(1));
  assert.match(said(-2), /with dashes, please/);
  assert.doesNotMatch(said(-2), /and backwards/);
  assert.match(said(-1), /and backwards/);
  assert.equal(await chat.locator(".turn").count(), 2);
  assert.deepEqual(await chat.locator(".person").allInnerTexts(), ["Count to three", "with dashes, please", "and backwards"]);
  assert.equal(await unheard.count(), 0);
}

async function stops(bench: Workbench): Promise<void> {
  await fresh(bench);
  await bench.say("Wait for it");
  await bench.chat.getByRole("button", { name: "Allow", exact: true }).click();
  await bench.chat.locator("details.live pre", { hasText: "begun" }).waitFor();
  await until(sleeping);
  const asked = bench.requests.length;
  await bench.chat.getByRole("button", { name: "Stop" }).click();
  await bench.chat.locator(".end.cancelled").waitFor();
  await until(() => !sleeping());
  assert.equal(bench.requests.length, asked, "the model is asked no more");
}

function sleeping(): boolean {
  return execFileSync("ps", ["-eo", "args="], { encoding: "utf8" }).split("\n").some((line) => line.trim() === SLEEP);
}

async function cancels(bench: Workbench): Promise<void> {
  await fresh(bench);
  await bench.say("Tell a long story");
  await bench.chat.locator(".assistant").getByText("Once upon a time.").waitFor();
  await bench.command("View: Show Explorer");
  const toast = bench.toast("Tell a long story");
  await toast.getByRole("button", { name: "Cancel" }).click();
  await bench.status("Pygent: idle");
  await bench.command("Pygent: Chat");
  await bench.chat.locator(".end.cancelled").waitFor();
}

async function delegates(bench: Workbench): Promise<void> {
  const { page } = bench;
  await bench.delegate("Write the tests of the shop");
  const row = bench.task("Write the tests").first();
  await row.waitFor();
  await bench.task(/completed/).waitFor();
  const ended = await bench.notified("completed");
  await ended.getByRole("button", { name: "Show Changes" }).click();
  await page.locator(".monaco-diff-editor, .multiDiffEntry").first().waitFor();
  await page.getByText("test_shop.py").first().waitFor();
  await page.locator(".view-line", { hasText: /import.shop/ }).first().waitFor();
  await bench.picture(`changes-${bench.version.name}`);
  assert.ok(!bench.exists("test_shop.py"));
  await row.hover();
  await row.getByRole("button", { name: "Apply Task Changes" }).click();
  await until(() => bench.exists("test_shop.py"));
  await page.locator(".tabs-container .tab", { hasText: "shop.py" }).first().click();
  await page.locator(".view-line", { hasText: /result.\+=.price/ }).waitFor();
}

async function followsAShell(bench: Workbench): Promise<void> {
  await bench.command("Pygent: Show Tasks");
  const shell = bench.shell("--cwd", "--no-confirm-bash", "delegate", "Wait for it in a shell");
  const ended = new Promise((resolve) => shell.once("exit", resolve));
  const row = bench.task("Wait for it in a shell").first();
  await row.filter({ hasText: "running" }).waitFor();
  await row.hover();
  await row.getByRole("button", { name: "Cancel Task" }).click();
  await row.filter({ hasText: "cancelled" }).waitFor();
  await ended;
}

async function reloads(bench: Workbench): Promise<void> {
  await fresh(bench);
  await bench.chat.locator(".hints button").first().waitFor();
  await bench.say("Tell a long story, again");
  await bench.chat.locator(".assistant").getByText("Once upon a time.").waitFor();
  await bench.say("and then?");
  await bench.chat.locator(".unheard p", { hasText: "and then?" }).waitFor();
  await bench.chat.locator("textarea").fill("half a thought");
  await bench.stored("half a thought");
  await bench.stored("and then?");
  await bench.page.reload();
  await bench.status("Pygent: idle");
  await bench.chat.locator(".person", { hasText: "Tell a long story, again" }).waitFor();
  await bench.chat.locator(".end.cancelled, .end.failed").waitFor();
  assert.equal(await bench.chat.locator("textarea").inputValue(), "half a thought");
  await bench.chat.locator(".unheard p", { hasText: "and then?" }).waitFor(); // a turn that was ended has not heard it
  await bench.chat.locator("textarea").fill("Go on");
  await bench.chat.locator("textarea").press("Enter");
  await bench.chat.locator(".person", { hasText: "and then?" }).waitFor();
  await bench.chat.locator(".unheard p").waitFor({ state: "detached" });
  await bench.task("Write the tests").waitFor();
}

async function crashes(bench: Workbench): Promise<void> {
  const [server] = await until(() => (bench.servers().length === 1 ? bench.servers() : undefined));
  assert.ok(server);
  await fresh(bench);
  const field = bench.chat.locator("textarea");
  await field.fill("Still there?");
  const shown = await bench.statuses();
  process.kill(server, "SIGKILL");
  await field.press("Enter");
  await until(async () => {
    if (await bench.chat.getByText("Yes, still here.").isVisible()) return true;
    // What was on its way as the server died comes back into the field.
    if (bench.servers().some((one) => one !== server) && (await field.inputValue()) === "Still there?") await field.press("Enter");
    return undefined;
  });
  assert.ok((await shown()).includes("Pygent: error"), "the crash is shown, however shortly");
  assert.notDeepEqual(bench.servers(), [server]);
}

async function crashesOn(bench: Workbench): Promise<void> {
  const { chat } = bench;
  const [before] = bench.servers();
  await bench.command("Pygent: Restart Server"); // which counts from nothing
  await until(() => bench.servers().length === 1 && bench.servers()[0] !== before);
  await bench.status("Pygent: idle");
  await chat.locator("textarea").fill("kept all the while");
  await chat.locator(".health").evaluate((banner) => {
    const shown: string[] = ((window as unknown as { shown: string[] }).shown = []);
    new MutationObserver(() => shown.push(banner.textContent)).observe(banner, { childList: true });
  });
  for (let crash = 0; crash < 3; crash++) {
    const [server] = await until(() => (bench.servers().length === 1 ? bench.servers() : undefined));
    process.kill(server ?? 0, "SIGKILL");
    await until(() => bench.servers().some((one) => one !== server));
    await bench.status("Pygent: idle");
  }
  assert.equal(await chat.locator("textarea").inputValue(), "kept all the while");
  const shown = await chat.locator("body").evaluate(() => (window as unknown as { shown: string[] }).shown);
  const delays = shown.map((text) => /again in ([\d.]+) s/.exec(text)?.[1]).filter(Boolean);
  assert.deepEqual(delays, ["0.5", "1", "2"]);
}
