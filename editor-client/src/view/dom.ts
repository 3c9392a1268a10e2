// Elements without a framework, and texts in the person's language.

type Child = Node | string | undefined;
interface Props {
  class?: string;
  title?: string;
  label?: string;
  role?: string;
  hidden?: boolean;
  onclick?: (event: MouseEvent) => void;
}

/** An element; strings become text, never markup. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (props.class) element.className = props.class;
  if (props.title) element.title = props.title;
  if (props.label) element.setAttribute("aria-label", props.label);
  if (props.role) element.setAttribute("role", props.role);
  if (props.hidden) element.hidden = true;
  if (props.onclick) element.addEventListener("click", props.onclick as EventListener);
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

const ICONS = {
  copy: "M5 5V2h9v9h-3v3H2V5h3zm1 0h5v5h2V3H6v2zM3 6v7h7V6H3z",
  insert: "M7 2h2v6h3l-4 4-4-4h3V2zM2 13h12v1H2z",
  stop: "M4 4h8v8H4z",
  send: "M2 2l12.5 6L2 14l2-5 5-1-5-1z",
  file: "M4 2h5l3 3v9H4V2zm1 1v10h6V6H8V3H5z",
  selection: "M2 3h12v1H2zm0 3h8v1H2zm0 3h12v1H2zm0 3h6v1H2z",
  problem: "M8 2l6.5 12h-13L8 2zm-.5 4.5v4h1v-4h-1zm0 5v1h1v-1h-1z",
  history: "M8 2a6 6 0 1 1-5.2 3l.87.5A5 5 0 1 0 8 3v2L4.8 2.5 8 0v2zm-.5 3h1v3.1l2.3 2.3-.7.7-2.6-2.6z",
  down: "M3 6l5 5 5-5z",
  close: "M4 3l4 4 4-4 1 1-4 4 4 4-1 1-4-4-4 4-1-1 4-4-4-4z",
} as const;

/** A button of an icon with a name for screen readers, or of its text. */
export function button(label: string, act: (event: MouseEvent) => void, icon?: keyof typeof ICONS): HTMLButtonElement {
  const made = h("button", { title: icon && label, label: icon && label, onclick: act }, icon ? svg(icon) : label);
  made.type = "button";
  if (icon) made.classList.add("icon");
  return made;
}

function svg(name: keyof typeof ICONS): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("viewBox", "0 0 16 16");
  made.setAttribute("aria-hidden", "true");
  const shape = made.appendChild(document.createElementNS(space, "path"));
  shape.setAttribute("d", ICONS[name]);
  return made;
}

const texts = JSON.parse(document.body.dataset.l10n ?? "{}") as Record<string, string>;

/** A text in the person's language, with `{0}`, `{1}` … filled in. */
export function t(text: string, ...values: (string | number)[]): string {
  return (texts[text] ?? text).replace(/\{(\d)\}/g, (_, number: string) => String(values[Number(number)] ?? ""));
}
