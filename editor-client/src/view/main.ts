// The chat's page: it shows what the extension sends and sends back what a person does.
import "./style.css";
import { Composer } from "./composer";
import { button, h, t } from "./dom";
import { Log } from "./log";
import type { ToHost, ToPage } from "./messages";

declare function acquireVsCodeApi(): {
  postMessage(message: ToHost): void;
};

const host = acquireVsCodeApi();
const tell = (message: ToHost): void => host.postMessage(message);

const title = h("span", { class: "title" });
const who = {
  persona: button("", () => tell({ type: "run", command: "persona" })),
  model: button("", () => tell({ type: "run", command: "model" })),
};
who.persona.title = t("Select Persona");
who.model.title = t("Select Model");
const sessions = button(t("Sessions"), () => tell({ type: "run", command: "resume" }), "history");
const header = h("header", {}, title, h("span", { class: "who" }, who.persona, who.model, sessions));
const health = h("p", { class: "health", role: "status", hidden: true });
const down = button(t("Scroll to the End"), () => scrollDown(), "down");
down.classList.add("down");
down.hidden = true;

const empty = h("div", { class: "empty" });
const log: Log = new Log(tell, settle, (words) => (composer.usage.textContent = words));
const composer: Composer = new Composer(tell, () => log.running !== undefined);
/** What was said and is not heard yet. */
const waiting = h("div", { class: "unheard", role: "status", label: t("Waiting to be heard") });
const scroller = h("div", { class: "scroller" }, empty, log.element, waiting);
document.body.append(header, health, scroller, down, log.elsewhere, composer.element);

let stick = true;
scroller.addEventListener("scroll", () => {
  stick = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
  down.hidden = stick;
});
const growing = new ResizeObserver(() => stick && scrollDown());
growing.observe(log.element);
growing.observe(waiting);

function scrollDown(): void {
  scroller.scrollTop = scroller.scrollHeight;
}

function settle(): void {
  composer.refresh();
  empty.hidden = log.element.childElementCount + waiting.childElementCount > 0;
}

function welcome(): void {
  const hints = [t("Explain this code"), t("Find and fix the failing test"), t("Write tests for the open file")];
  const suggestions = hints.map((text) =>
    button(text, () => {
      composer.restore({ text, attachments: [] });
      composer.field.focus();
    }),
  );
  empty.append(
    h("h1", {}, "Pygent"),
    h("p", {}, t("Reads, edits and runs code in a sandbox. You see each command before it runs.")),
    h("div", { class: "hints" }, ...suggestions),
  );
}

function receive(message: ToPage): void {
  switch (message.type) {
    case "session":
      title.textContent = message.title;
      header.classList.toggle("task", message.taskId !== undefined);
      log.reset(message.events, message.earlier);
      stick = true;
      scrollDown();
      return settle();
    case "draft":
      return composer.restore(message.draft);
    case "who":
      who.persona.textContent = message.persona;
      who.model.textContent = message.model;
      return;
    case "event":
      if (message.envelope.event.type === "turnStarted") title.textContent ||= message.envelope.event.text.slice(0, 60);
      return log.apply(message.envelope);
    case "approval":
      return log.asked(message.approval.id, { approval: message.approval }, message.here);
    case "question":
      return log.asked(message.question.id, { question: message.question }, message.here);
    case "settled":
      return log.settled(message.id);
    case "waiting":
      waiting.replaceChildren(...message.texts.map((text) => h("p", {}, text, h("span", { class: "facts" }, t("waiting to be heard")))));
      return settle();
    case "health":
      health.textContent = message.text;
      health.hidden = !message.text;
      return;
    case "attach":
      return composer.attach(message.attachment);
    case "focus":
      return composer.field.focus();
    case "unsent":
      health.textContent = message.error;
      health.hidden = false;
      return composer.restore(message);
    case "completions":
      return composer.complete(message.request, message.items);
  }
}

welcome();
window.addEventListener("message", (event: MessageEvent<ToPage>) => receive(event.data));
tell({ type: "ready" });
