// What a person has said and the conversation does not have yet: shown at once, and again after a reload of the window.
import type * as vscode from "vscode";
import type { Envelope } from "./protocol";

const WAITING = "waiting";
const KEPT = 50;
const MASK = "[key]"; // what the server puts in the place of its secret

export interface Said {
  sessionId: string;
  text: string;
  /** When, in milliseconds of the machine's clock, which is the server's too. */
  at: number;
  /** The server has it, and keeps it until the conversation has it. */
  taken?: boolean;
}

export class Waiting {
  private all: Said[];

  constructor(private readonly memory: vscode.Memento) {
    this.all = memory.get(WAITING, []);
  }

  of(sessionId: string | undefined): string[] {
    return this.all.filter((one) => one.sessionId === sessionId).map(({ text }) => text);
  }

  add(sessionId: string, text: string): Said {
    const said = { sessionId, text, at: Date.now() };
    this.all.push(said);
    return said;
  }

  /** The server has taken it. */
  taken(said: Said): void {
    said.taken = true;
    this.keep();
  }

  /** It is not on its way any longer. */
  drop(said: Said): void {
    this.all = this.all.filter((one) => one !== said);
    this.keep();
  }

  /** Drop what an event brings into the conversation. */
  heard({ event, sessionId, at }: Envelope): void {
    const fromPerson = event.type === "turnStarted" || (event.type === "message" && event.role === "user");
    const said = fromPerson && this.all.find((one) => one.sessionId === sessionId && one.at <= at && same(event.text, one.text));
    if (said) this.drop(said);
  }

  private keep(): void {
    void this.memory.update(WAITING, this.all.filter((one) => one.taken).slice(-KEPT));
  }
}

/** The server quotes what is attached below a text, and takes its secret out. */
function same(heard: string, said: string): boolean {
  if (heard.includes(MASK)) return said.startsWith(heard.slice(0, heard.indexOf(MASK)));
  return heard === said || heard.startsWith(`${said}\n\n`);
}
