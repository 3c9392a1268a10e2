// The chat's page alone in Chromium: what it makes of each message of the extension, and what it says back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameless } from "./names";
import { approval, event, load, page, said, speaks, started, task, tell, text, usage } from "./stage";

test("each event of a turn has its place", async () => {
  await tell(
    started(),
    event({ type: "reasoningDelta", itemId: "r", text: "Let me see." }),
    event({ type: "textDelta", itemId: "m", text: "I **look**\n\n```sh\nls\n```" }),
    event({ type: "toolStarted", itemId: "c", name: "bash", title: "ls", arguments: {} }),
    event({ type: "toolOutput", itemId: "c", text: "shop.py" }),
  );
  assert.deepEqual(await text(".person"), ["Hello"]);
  assert.equal(await page.locator(".assistant[aria-busy=true] strong").innerText(), "look");
  assert.deepEqual(await text(".row.live pre"), ["shop.py"]);
  assert.ok(await page.getByRole("button", { name: "Stop" }).isVisible());
  await tell(
    speaks("I **look**ed at [it](shop.py).\n\n```sh\nls\n```"),
    event({ type: "toolFinished", itemId: "c", status: "failed", output: "no\n", truncated: false, durationMs: 1500, exitCode: 2 }),
    event({ type: "changeMade", itemId: "c", uri: "file:///a%20b.py", kind: "edited", diff: "--- a\n+++ b\n@@ -1 +1,2 @@\n-x\n+y\n+z\n" }),
    event({ type: "notice", level: "warning", text: "The network is off." }),
    event({ type: "compacted", tokensBefore: 9000, tokensAfter: 400 }),
    event({ type: "forked", sessionId: "o" }),
    event({ type: "checkpoint", before: "1", after: "2" }),
    event({ type: "taskChanged", task }),
    event({ type: "usage", ...usage, contextTokens: 500, contextWindow: 1000, cost: 0.1234 }),
  );
  assert.deepEqual(await text(".row.failed .facts"), ["failed · exit 2 · 1.5 s"]);
  assert.deepEqual(await text(".change-head > span"), ["Edited a b.py", "+2", "−1"]);
  assert.deepEqual(await text(".notice"), ["The network is off.", "Older messages were summarised: 9000 tokens became 400.", "Goes on from an earlier conversation."]);
  assert.deepEqual(await text(".usage"), ["1.0k tokens · 50 % · 0.123"]);
  await tell(event({ type: "taskChanged", task: { ...task, status: "completed" } }), event({ type: "turnFinished", status: "failed", reply: "", usage, error: { code: "x", message: "It broke.", fix: "Mend it." } }));
  assert.deepEqual(await text(".task"), ["Task: Tidy up\ncompleted"]);
  assert.deepEqual(await text(".end"), ["Failed: It broke. Mend it."]);
  assert.ok(!(await page.getByRole("button", { name: "Stop" }).isVisible()));
  assert.deepEqual(await page.locator("body").evaluate(nameless), []);
  await page.locator(".task").click();
  await page.locator(".change").getByRole("button", { name: "Open" }).click();
  await page.locator(".change").getByRole("button", { name: "Undo" }).click();
  await tell(event({ type: "turnUndone", turnId: "t" }));
  await page.locator(".change.undone").getByRole("button", { name: "Redo" }).click();
  assert.deepEqual(await said(), [
    { type: "task", taskId: "k" },
    { type: "open", uri: "file:///a%20b.py" },
    { type: "undo", turnId: "t", redo: false },
    { type: "undo", turnId: "t", redo: true },
  ]);
});

test("an event that was shown is not shown again, and another session begins from nothing", async () => {
  const [start, once] = [started(), event({ type: "notice", level: "info", text: "once" })];
  await tell(start, once, once, start);
  assert.deepEqual(await text(".notice"), ["once"]);
  assert.ok(start.type === "event");
  await tell({ type: "session", title: "Another", events: [{ ...start.envelope, seq: 1 }], earlier: true });
  assert.deepEqual([await text(".notice"), await text(".person"), await text("header .title")], [[], ["Hello"], ["Another"]]);
  await page.getByRole("button", { name: "Show earlier messages" }).click();
  assert.deepEqual(await said(), [{ type: "earlier" }]);
});

const HOSTILE = [
  `<script>window.stolen=1</script>\n\n<div onmouseover="window.stolen=1"><img src=x onerror="window.stolen=1"></div>`,
  `<iframe srcdoc="<script>parent.stolen=1</script>"></iframe>\n\n<style>*{display:none}</style>`,
  `<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>`,
  `[a](javascript:window.stolen=1) [b](command:x "onclick=window.stolen=1") ![c](https://evil.example/pixel.png)`,
  `<svg/onload=window.stolen=1> <iframe srcdoc="<script>parent.stolen=1</script>">`,
  "```html\n<script>window.stolen=1</script>\n```\n\n| <b>a</b> |\n| --- |\n| <a href=javascript:window.stolen=1>x</a> |",
  `# <style>*{display:none}</style>\n\n- [ ] <input autofocus onfocus=window.stolen=1>\n\n<https://evil.example/"onmouseover=window.stolen=1>`,
  `[r]: javascript:window.stolen=1\n\n[r] &lt;script&gt; &#x3c;script&#x3e; \\<script>`,
];
const HARMLESS = /^(A|ARTICLE|BLOCKQUOTE|BR|BUTTON|CODE|DEL|DIV|EM|H[1-6]|HR|LI|OL|P|PRE|SPAN|STRONG|SVG|PATH|TABLE|TBODY|TD|TH|TR|UL)$/;

test("what is hostile in a text becomes text", async () => {
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  for (const [number, source] of HOSTILE.entries()) {
    await tell(event({ type: "turnStarted", text: source }, { turnId: `t${number}` }), event({ type: "message", itemId: `m${number}`, role: "assistant", text: source }, { turnId: `t${number}` }));
  }
  await tell({ type: "waiting", texts: HOSTILE });
  const found = await page.locator(".turn *, .unheard *").evaluateAll((all) => all.map((one) => ({ tag: one.tagName.toUpperCase(), names: one.getAttributeNames() })));
  assert.deepEqual([...new Set(found.map(({ tag }) => tag))].filter((tag) => !HARMLESS.test(tag)), []);
  assert.deepEqual(found.flatMap(({ names }) => names).filter((name) => /^(on|href|src|style)/.test(name)), []);
  await page.locator("a", { hasText: "a" }).first().click();
  assert.deepEqual(await said(), [{ type: "link", href: "javascript:window.stolen=1" }]); // which the extension refuses
  assert.equal(await page.evaluate("window.stolen"), undefined);
  assert.deepEqual(asked, []);
});

const GROWING = "# Title\n\nSome *text* with `code`\nand a [link](a.py:3).\n\n1. one\n   - [x] nested\n2. two\n\n```py\nx = 1\n\ny = 2\n```\n\n| a | b |\n| - | - |\n| 1 | ~~2~~ |\n\n> said\n\n---\nend &amp; done";

test("a text that came in pieces looks as the whole one", async () => {
  for (const size of [2, 7, 50]) {
    const pieces = GROWING.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
    const [turnId, other] = [`pieces${size}`, `whole${size}`];
    await tell(...pieces.map((piece) => event({ type: "textDelta", itemId: turnId, text: piece }, { turnId })));
    await tell(event({ type: "message", itemId: other, role: "assistant", text: GROWING }, { turnId: other }));
    const [grown, whole] = await page.locator(".assistant .markdown").evaluateAll((all) => all.slice(-2).map((one) => one.innerHTML));
    assert.ok(whole?.includes("<h2>Title</h2>"));
    assert.equal(grown, whole);
  }
});

test("an approval is answered by its buttons, and closes when it is answered elsewhere", async () => {
  const elsewhere = { ...approval, id: "b", sessionId: "other", title: "Change a file", diff: "-a\n+b\n", isolation: "docker" } as const;
  await tell(started(), event({ type: "approvalRequested", approval }), { type: "approval", approval, here: true }, { type: "approval", approval: elsewhere, here: false });
  assert.deepEqual(await text(".card.waiting .card-head"), ["Run a command\nno sandbox", "Change a file\nin docker"]);
  const card = page.locator("main .card.waiting");
  await card.getByRole("button", { name: "Allow", exact: true }).click();
  await card.getByRole("button", { name: "Allow for Session" }).click();
  await card.getByLabel("Reason for denying").fill("too much");
  await card.getByLabel("Reason for denying").press("Enter");
  await page.locator(".elsewhere").getByRole("button", { name: "Deny" }).click();
  assert.deepEqual(await said(), [
    { type: "decide", id: "a", decision: { decision: "accept" } },
    { type: "decide", id: "a", decision: { decision: "acceptForSession" } },
    { type: "decide", id: "a", decision: { decision: "decline", feedback: "too much" } },
    { type: "decide", id: "b", decision: { decision: "decline" } },
  ]);
  await tell(event({ type: "approvalResolved", approvalId: "a", decision: "accept", by: "cli" }), { type: "settled", id: "b" });
  assert.deepEqual(await text(".card"), ["Run a command\nno sandbox\nAllowed"]);
});

test("a question is answered by an option or in a field", async () => {
  const question = { id: "q", sessionId: "s", prompt: "Which colour?" };
  await tell(started(), { type: "question", question, here: true }, { type: "question", question: { ...question, id: "o", options: ["red", "green"] }, here: true });
  await page.getByLabel("Your answer").fill(" blue ");
  await page.getByLabel("Your answer").press("Enter");
  await page.getByRole("button", { name: "green" }).click();
  assert.deepEqual(await said(), [{ type: "answer", id: "q", answer: "blue" }, { type: "answer", id: "o", answer: "green" }]);
  await tell(event({ type: "questionAnswered", questionId: "q", answer: "blue" }));
  assert.deepEqual(await text(".answered"), ["blue"]);
});

test("keys send, queue, break the line, stop and bring back", async () => {
  const field = page.getByLabel("Message to Pygent");
  await field.fill("one");
  await field.press("Shift+Enter");
  await field.pressSequentially("two");
  await field.press("Enter");
  assert.equal(await field.inputValue(), "");
  await field.fill("later");
  await field.press("Control+Enter");
  await field.press("ArrowUp");
  assert.equal(await field.inputValue(), "later");
  await field.fill("  ");
  await field.press("Enter");
  await field.press("Escape"); // nothing runs that it could stop
  await tell(started());
  await field.press("Escape");
  await field.fill("a word");
  await field.dispatchEvent("keydown", { key: "Enter", isComposing: true }); // it ends the word of an input method
  assert.equal(await field.inputValue(), "a word");
  assert.deepEqual(await said(), [
    { type: "send", text: "one\ntwo", attachments: [], deliver: "steer" },
    { type: "send", text: "later", attachments: [], deliver: "queue" },
    { type: "cancel" },
  ]);
});

test("only the completions that were asked for last are offered", async () => {
  const field = page.getByLabel("Message to Pygent");
  await field.pressSequentially("see @ab");
  const asked = (await said()).filter((one) => one.type === "complete");
  assert.deepEqual(asked.map(({ text }) => text), ["see @", "see @a", "see @ab"]);
  const [early, , late] = asked;
  const item = { label: "abc.py", insert: "@abc.py ", attachment: { label: "abc.py", uri: "file:///abc.py" } };
  await tell({ type: "completions", request: early?.request ?? -1, items: [{ label: "old", insert: "@old " }] });
  assert.deepEqual(await text("[role=option]"), []);
  await tell({ type: "completions", request: late?.request ?? -1, items: [{ label: "ab.py", insert: "@ab.py " }, item] });
  await page.getByRole("option", { name: "abc.py" }).click();
  assert.equal(await field.inputValue(), "see @abc.py ");
  assert.ok(await field.evaluate((one) => one === document.activeElement));
  await field.press("Enter");
  assert.deepEqual(await said(), [{ type: "send", text: "see @abc.py", attachments: [item.attachment], deliver: "steer" }]);
});

test("what was not sent comes back before what was typed since", async () => {
  const field = page.getByLabel("Message to Pygent");
  const attachment = { label: "a.py", uri: "file:///a.py" };
  await tell({ type: "draft", draft: { text: "a draft", attachments: [attachment] } });
  await field.press("Enter");
  await field.fill("and more");
  await tell({ type: "unsent", text: "a draft", attachments: [attachment], error: "The server does not run." });
  assert.equal(await field.inputValue(), "a draft\nand more");
  assert.deepEqual([await text(".chip"), await text(".health")], [["a.py"], ["The server does not run."]]);
  await tell({ type: "attach", attachment });
  assert.deepEqual(await text(".chip"), ["a.py"], "once");
  await page.getByRole("button", { name: "Remove a.py" }).click();
  assert.deepEqual(await text(".chip"), []);
});

test("the page follows the answer, unless the person has scrolled back", async () => {
  await tell(started(), speaks("line\n\n".repeat(100)));
  const scroller = page.locator(".scroller");
  const atEnd = () => scroller.evaluate((one) => one.scrollHeight - one.scrollTop - one.clientHeight < 40);
  assert.ok(await atEnd());
  await tell(event({ type: "notice", level: "info", text: "more" }));
  assert.ok(await atEnd());
  assert.ok(!(await page.getByRole("button", { name: "Scroll to the End" }).isVisible()));
  await scroller.evaluate((one) => new Promise((moved) => {
    one.addEventListener("scroll", moved, { once: true });
    one.scrollTop = 0;
  }));
  await tell(event({ type: "notice", level: "info", text: "more" }));
  assert.ok(!(await atEnd()));
  await page.getByRole("button", { name: "Scroll to the End" }).click();
  assert.ok(await atEnd());
});

test("the pickers and buttons say what they are for", async () => {
  await tell({ type: "who", persona: "Ada", model: "m-1" }, started(), speaks("```py\nx\n```"));
  for (const name of ["Ada", "m-1", "Sessions", "Attach File", "Attach Selection", "Attach Problems of the Open File", "Copy", "Insert at Cursor"]) {
    await page.getByRole("button", { name, exact: true }).click();
  }
  assert.deepEqual(await said(), [
    ...(["persona", "model", "resume"] as const).map((command) => ({ type: "run" as const, command })),
    ...(["file", "selection", "problems"] as const).map((what) => ({ type: "attach" as const, what })),
    { type: "copy", text: "x" },
    { type: "insert", text: "x" },
  ]);
});

test("an event of a newer server is named, and what follows is shown", async () => {
  await tell(started(), event({ type: "sungAloud", song: "la" } as never), speaks("And on."));
  assert.deepEqual(await text(".notice"), ["Something that this version cannot show: sungAloud"]);
  assert.deepEqual(await text(".assistant"), ["And on."]);
});

test("every way in which a tool, a turn and a task end has its words", async () => {
  const tools = ["completed", "failed", "declined", "cancelled", "timedOut"] as const;
  await tell(started());
  for (const status of tools) {
    await tell(event({ type: "toolStarted", itemId: status, name: "bash", title: status, arguments: {} }));
    await tell(event({ type: "toolFinished", itemId: status, status, output: "", truncated: false, durationMs: 50 }));
  }
  assert.deepEqual(await text(".row .facts"), ["", "failed", "declined", "cancelled", "timed out"]);
  assert.deepEqual(await page.locator(".row .status").evaluateAll((all) => all.map((one) => one.ariaLabel)), ["done", "failed", "declined", "cancelled", "timed out"]);
  for (const status of ["completed", "needsInput", "cancelled", "failed", "limit"] as const) {
    await tell(event({ type: "turnStarted", text: status }, { turnId: status }), event({ type: "turnFinished", status, reply: "", usage }, { turnId: status }));
  }
  assert.deepEqual(await text(".end"), ["Waiting for your answer", "Cancelled", "Failed", "Stopped at a limit"]);
  const states = ["queued", "running", "waiting", "completed", "failed", "cancelled", "timedOut", "interrupted"] as const;
  for (const status of states) await tell(event({ type: "taskChanged", task: { ...task, id: status, title: status, status } }));
  assert.deepEqual(await text(".task .facts"), ["queued", "running", "waiting for you", "completed", "failed", "cancelled", "timed out", "interrupted"]);
});

test("what is running when a turn ends does not go on turning", async () => {
  await tell(started(), event({ type: "reasoningDelta", itemId: "r", text: "Hm" }), event({ type: "toolStarted", itemId: "c", name: "bash", title: "sleep", arguments: {} }));
  await tell(event({ type: "approvalRequested", approval }), event({ type: "textDelta", itemId: "m", text: "half" }));
  assert.equal(await page.locator(".live, .waiting, [aria-busy=true]").count(), 3);
  await tell(event({ type: "turnFinished", status: "cancelled", reply: "", usage }));
  assert.equal(await page.locator(".live, .waiting, [aria-busy=true]").count(), 0);
});

test("a long output and a long diff are shortened", async () => {
  const lines = Array.from({ length: 450 }, (_, at) => `+line ${at}`);
  await tell(
    started(),
    event({ type: "toolStarted", itemId: "c", name: "bash", title: "yes", arguments: {} }),
    ...["a", "b", "c"].map((sign) => event({ type: "toolOutput", itemId: "c", text: sign.repeat(9_000) })),
    event({ type: "changeMade", itemId: "c", uri: "file:///a.py", kind: "created", diff: ["@@ -0,0 +1,450 @@", ...lines].join("\n") }),
  );
  const output = await page.locator(".row pre").evaluate((one) => one.textContent);
  assert.deepEqual([output.length, output.at(0), output.at(-1)], [20_000, "a", "c"], "the end of it is kept");
  assert.equal(await page.locator(".diff > div").count(), 401);
  assert.deepEqual([await text(".change-head .plus"), (await text(".diff > div")).at(-1)], [["+450"], "… 51"]);
});

test("the page speaks the person's language", async () => {
  await page.close();
  await load({ Send: "Senden", "{0} tokens": "{0} Zeichen", Allow: "Erlauben", "in {0}": "in {0} drin" });
  await tell(started(), event({ type: "usage", ...usage }), event({ type: "approvalRequested", approval: { ...approval, isolation: "docker" } }));
  assert.ok(await page.getByRole("button", { name: "Senden" }).isVisible());
  assert.ok(await page.getByRole("button", { name: "Erlauben", exact: true }).isVisible());
  assert.deepEqual([await text(".usage"), await text(".place")], [["1.0k Zeichen"], ["in docker drin"]]);
});

test("lists, tables and quotations keep their shape", async () => {
  await tell(started(), speaks("3. three\n4. four\n   - [x] done\n   - [ ] open\n\n| a | b |\n| --- | --- |\n| `1` | ~~2~~ |\n\n> **said**\n\n&lt;b&gt; &amp; \\*"));
  assert.equal(await page.locator(".assistant ol").getAttribute("start"), "3");
  assert.deepEqual(await text(".assistant ul > li"), ["☑ done", "☐ open"]);
  assert.deepEqual([await text(".assistant th"), await text(".assistant td code"), await text(".assistant td del")], [["a", "b"], ["1"], ["2"]]);
  assert.deepEqual([await text(".assistant blockquote strong"), (await text(".assistant p")).at(-1)], [["said"], "<b> & *"]);
});

test("a suggestion of the empty page is written into the field, and not sent", async () => {
  await page.getByRole("button", { name: "Explain this code" }).click();
  const field = page.getByLabel("Message to Pygent");
  assert.equal(await field.inputValue(), "Explain this code");
  assert.ok(await field.evaluate((one) => one === document.activeElement));
  assert.deepEqual(await said(), []);
  await tell(started());
  assert.ok(!(await page.getByRole("button", { name: "Explain this code" }).isVisible()));
});
