// What the chat's page shows before a person allows something: all of it, whatever it looks like.
import assert from "node:assert/strict";
import { test } from "node:test";
import { approval, event, page, started, tell, text } from "./stage";

test("an approval shows all that it is about, whatever the lines look like", async () => {
  const odd = ["--- a", "+++ b", "@@ -1 +1 @@", "-- gone", "++ come", "\\ No newline at end of file", "diff --git a b", "index 1", "", "  two  blanks  ", "te\\u{200b}st", "x".repeat(5000)];
  const many = Array.from({ length: 5000 }, (_, number) => `line ${number}`);
  const detail = [...odd, ...many, "rm -rf tail"].join("\n");
  await tell(started(), { type: "approval", approval: { ...approval, detail, command: "raw", background: true, network: true, outside: ["/srv/x"], isolation: "docker", why: "Not saved: a.py." }, here: true });
  assert.equal(await page.locator(".card pre").evaluate((pre) => pre.textContent), detail);
  assert.deepEqual(await text(".card-facts > div"), ["With network", "In the background: it goes on after the answer", "It can also change files outside of the workspace: /srv/x", "Not saved: a.py.", "5013 lines"]);
});

test("a diff is shown by the place of its lines, not by what they begin with", async () => {
  const body = ["--- gone", "-x", "+++ come", "++ 2", "+@@ -1 +1 @@", " --- kept", "\\ No newline at end of file"];
  const head = ["--- a/x", "+++ b/x", "@@ -1,3 +1,4 @@"];
  const more = Array.from({ length: 900 }, (_, number) => `+line ${number}`);
  const diff = [...head, ...body, "@@ -9,0 +9,900 @@", ...more].join("\n") + "\n";
  await tell(started(), { type: "approval", approval: { ...approval, kind: "edit", detail: "x", diff }, here: true });
  const lines = page.locator(".card .diff > div");
  assert.equal(await lines.evaluateAll((all) => all.map((one) => one.textContent).join("\n")), diff.trimEnd());
  const kinds = await lines.evaluateAll((all) => all.slice(0, 10).map((one) => one.getAttribute("class")));
  assert.deepEqual(kinds, ["header", "header", "hunk", "removed", "removed", "added", "added", "added", null, "hunk"]);
  await tell(event({ type: "toolStarted", itemId: "c", name: "edit_file", title: "Edit", arguments: {} }), event({ type: "changeMade", itemId: "c", uri: "file:///x", kind: "edited", diff }));
  assert.deepEqual(await text(".change .diff > div:nth-child(-n+4)"), ["@@ -1,3 +1,4 @@", "--- gone", "-x", "+++ come"]);
  assert.deepEqual([await text(".plus"), await text(".minus")], [["+903"], ["−2"]]);
});
