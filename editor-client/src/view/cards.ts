// What waits for a person: an approval with its three buttons, a question with its options or a field.
import type { Approval, Question } from "../protocol";
import { wholeDiff } from "./diff";
import { button, h, t } from "./dom";
import type { ToHost } from "./messages";

type Tell = (message: ToHost) => void;

export interface Card {
  element: HTMLElement;
  /** Take the controls away, once it is answered; `words` say how. */
  close(words?: string): void;
}

export function approvalCard(approval: Approval, tell: Tell): Card {
  const feedback = h("input", { label: t("Reason for denying (optional)") });
  feedback.placeholder = t("Reason for denying (optional)");
  const decide = (decision: "accept" | "acceptForSession" | "decline") => () => {
    const reason = feedback.value.trim();
    const more = decision === "decline" && reason ? { feedback: reason } : {};
    tell({ type: "decide", id: approval.id, decision: { decision, ...more } });
  };
  feedback.addEventListener("keydown", (event) => event.key === "Enter" && decide("decline")());
  const allow = button(t("Allow"), decide("accept"));
  allow.classList.add("primary");
  const controls = h(
    "div",
    { class: "controls" },
    allow,
    button(t("Allow for Session"), decide("acceptForSession")),
    button(t("Deny"), decide("decline")),
    feedback,
  );
  const label = t("What will be done");
  const text = approval.diff ?? (approval.detail || (approval.command ?? ""));
  const detail = approval.diff ? wholeDiff(text, label) : h("pre", { role: "group", label }, text);
  detail.tabIndex = 0;
  const danger = approval.isolation === "local";
  const place = danger ? t("no sandbox") : t("in {0}", approval.isolation);
  const head = h("div", { class: "card-head" }, h("strong", {}, approval.title), h("span", { class: danger ? "place danger" : "place" }, place));
  const facts = factsOf(approval, text).map((fact) => h("div", {}, fact));
  return card(t("Approval: {0}", approval.title), [head, h("div", { class: "card-facts" }, ...facts), detail], controls);
}

/** What else there is to know before consent, a line each. */
function factsOf(approval: Approval, text: string): string[] {
  const lines = text.replace(/\n$/, "").split("\n").length;
  return [
    approval.kind === "tool" ? t("This tool runs directly on your machine, with your rights.") : undefined,
    approval.network === undefined ? undefined : approval.network ? t("With network") : t("Without network"),
    approval.background ? t("In the background: it goes on after the answer") : undefined,
    approval.outside?.length ? t("It can also change files outside of the workspace: {0}", approval.outside.join(", ")) : undefined,
    approval.why,
    lines > 1 ? t("{0} lines", lines) : undefined,
  ].filter((fact) => fact !== undefined);
}

export function questionCard(question: Question, tell: Tell): Card {
  const answer = (text: string) => tell({ type: "answer", id: question.id, answer: text });
  const controls = h("div", { class: "controls" });
  if (question.options?.length) {
    controls.append(...question.options.map((option) => button(option, () => answer(option))));
  } else {
    const field = h("input", { label: t("Your answer") });
    field.placeholder = t("Your answer");
    const send = () => field.value.trim() && answer(field.value.trim());
    field.addEventListener("keydown", (event) => event.key === "Enter" && send());
    controls.append(field, button(t("Answer"), send));
  }
  return card(t("Question: {0}", question.prompt), [h("strong", {}, question.prompt)], controls);
}

function card(label: string, content: HTMLElement[], controls: HTMLElement): Card {
  const element = h("div", { class: "card waiting", role: "group", label }, ...content, controls);
  const close = (words?: string): void => {
    element.classList.remove("waiting");
    controls.remove();
    if (words) element.append(h("div", { class: "answered" }, words));
  };
  return { element, close };
}
