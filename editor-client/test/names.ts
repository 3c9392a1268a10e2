/** Runs in a page: what a person can reach or a screen reader says, and that has no name. */
export function nameless(body: HTMLElement): string[] {
  const all = body.querySelectorAll("button, a, input, textarea, summary, [tabindex], [role]:not([role=status])");
  const named = (one: Element) => (one as Element & { computedName: string }).computedName.trim() !== "";
  return [...all].filter((one) => one.checkVisibility() && !named(one)).map((one) => one.outerHTML.slice(0, 200));
}
