// What `vsce` lets pass: names of the protocol, texts that exist, files that are in the package.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { CLIENT } from "./workbench";

const text = (name: string) => readFileSync(path.join(CLIENT, name), "utf8");
interface Manifest {
  categories: string[];
  keywords: string[];
  icon: string;
  engines: { vscode: string };
  devDependencies: Record<string, string>;
  capabilities: { untrustedWorkspaces: { supported: unknown } };
  contributes: {
    commands: { command: string; title: string; shortTitle?: string }[];
    menus: Record<string, { command: string }[]>;
    keybindings: { command: string; when?: string }[];
    configuration: { properties: Record<string, { markdownDescription: string; scope: string; properties?: object }> };
    walkthroughs: { steps: { media: { markdown: string } }[] }[];
  };
}
const manifest = JSON.parse(text("package.json")) as Manifest;
const texts = JSON.parse(text("package.nls.json")) as Record<string, string>;

const TITLES: Record<string, string> = {
  chat: "Chat", ask: "Ask About Selection", delegate: "Delegate Task", tasks: "Show Tasks", taskLog: "Show Task Log",
  taskDiff: "Show Task Changes", taskApply: "Apply Task Changes", cancel: "Cancel", undo: "Undo Last Turn", redo: "Redo",
  newSession: "New Session", resume: "Resume Session", persona: "Select Persona", model: "Select Model",
  doctor: "Check Setup", log: "Show Log", restart: "Restart Server",
};

test("the commands have the titles of the protocol", () => {
  const titles = Object.fromEntries(manifest.contributes.commands.map(({ command, title }) => [command, texts[title.slice(1, -1)]]));
  for (const [name, title] of Object.entries(TITLES)) assert.equal(titles[`pygent.ui.${name}`], `Pygent: ${title}`);
});

test("every text has its words, and no words are left over", () => {
  const used = [...text("package.json").matchAll(/"%([\w.]+)%"/g)].map(([, key]) => key);
  assert.deepEqual([...new Set(used)].sort(), Object.keys(texts).sort());
});

test("menus and keys name commands that are there, and keys have a condition", () => {
  const known = new Set(manifest.contributes.commands.map(({ command }) => command));
  const named = [...Object.values(manifest.contributes.menus).flat(), ...manifest.contributes.keybindings];
  for (const { command } of named) assert.ok(known.has(command), command);
  for (const { command, when } of manifest.contributes.keybindings) assert.ok(when, command);
  for (const command of known) assert.ok(text("src/commands.ts").includes(`${command.split(".").at(-1) ?? ""}:`) || command.endsWith(".restart"), command);
});

test("every setting is documented, and no workspace sets a program that a person has not trusted", () => {
  const { properties } = manifest.contributes.configuration;
  const page = text("../docs/editors/vscode.md");
  for (const [name, { markdownDescription, scope }] of Object.entries(properties)) {
    assert.ok((texts[markdownDescription.slice(1, -1)] ?? "").length > 40, name);
    assert.ok(page.includes(`\`${name}\``), name);
    assert.equal(scope, /command|interpreter/.test(name) ? "machine-overridable" : "window", name);
  }
  const { properties: keys } = JSON.parse(text("../docs/pygent.schema.json")) as { properties: object };
  assert.deepEqual(properties["pygent.config"]?.properties, keys);
});

test("the marketplace's rules hold", () => {
  const known = ["AI", "Chat", "Programming Languages", "Other"];
  assert.deepEqual(manifest.categories.filter((one) => !known.includes(one)), []);
  assert.ok(manifest.keywords.length <= 30);
  assert.equal(`^${manifest.devDependencies["@types/vscode"] ?? ""}`, manifest.engines.vscode);
  assert.equal(manifest.capabilities.untrustedWorkspaces.supported, false);
  const icon = readFileSync(path.join(CLIENT, manifest.icon));
  assert.ok(icon.readUInt32BE(16) >= 128 && icon.readUInt32BE(16) === icon.readUInt32BE(20), "a square PNG");
  for (const { steps } of manifest.contributes.walkthroughs) {
    assert.equal(steps.length, 4);
    for (const { media } of steps) assert.ok(text(media.markdown).length > 80, media.markdown);
  }
});

test("the package is small and holds the listed files only", () => {
  const vsce = path.join(CLIENT, "node_modules/.bin/vsce");
  const listed = execFileSync(vsce, ["ls", "--no-dependencies", "--readme-path", "dist/README.md"], { cwd: CLIENT, encoding: "utf8" }).trim().split("\n").sort();
  assert.deepEqual(listed, [
    ...["CHANGELOG.md", "LICENSE", "dist/README.md", "dist/chat.css", "dist/chat.js", "dist/extension.js", "l10n/bundle.l10n.json"],
    ...["media/icon.png", "media/pygent.svg", "package.json", "package.nls.json"],
    ...["chat", "delegate", "model", "server"].map((name) => `walkthrough/${name}.md`),
  ]);
  assert.ok(statSync(path.join(CLIENT, "dist/pygent.vsix")).size < 300_000);
});

test("nothing names an address that is not known, and the page of the repository has pictures", () => {
  const readme = text("dist/README.md");
  assert.doesNotMatch(readme + text("package.json").replace(/"pygent\.config": [^]*?"order"/, ""), /https?:/);
  assert.doesNotMatch(readme, /!\[/);
  const pictures = [...text("README.md").matchAll(/!\[[^\]]+\]\((.*?)\)/g)].map(([, file = ""]) => statSync(path.join(CLIENT, file)).size);
  assert.ok(pictures.length >= 2 && pictures.every((size) => size < 100_000), "small ones");
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(text("package-lock.json"), /"resolved"/);
});
