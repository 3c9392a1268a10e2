// What the chat's page and the extension say to each other.
import type { Approval, Decision, Envelope, Question } from "../protocol";

/** Something that goes with a message, as `pygent.chat` takes it. */
export interface Attachment {
  label: string;
  uri?: string;
  image?: string;
  range?: { start: { line: number; character: number }; end: { line: number; character: number } };
  diagnostics?: { message: string; range: Attachment["range"] }[];
}

export interface Completion {
  label: string;
  detail?: string;
  insert: string;
  attachment?: Attachment;
}

/** What was typed and not sent. */
export interface Draft {
  text: string;
  attachments: Attachment[];
}

export type ToPage =
  | { type: "draft"; draft: Draft }
  | { type: "session"; title: string; taskId?: string; events: Envelope[]; earlier: boolean }
  | { type: "who"; persona: string; model: string }
  | { type: "event"; envelope: Envelope }
  | { type: "approval"; approval: Approval; here: boolean }
  | { type: "question"; question: Question; here: boolean }
  | { type: "settled"; id: string }
  | { type: "waiting"; texts: string[] }
  | { type: "health"; text: string }
  | { type: "attach"; attachment: Attachment }
  | { type: "focus" }
  | { type: "unsent"; text: string; attachments: Attachment[]; error: string }
  | { type: "completions"; request: number; items: Completion[] };

export type ToHost =
  | { type: "ready" }
  | { type: "earlier" }
  | { type: "send"; text: string; attachments: Attachment[]; deliver: "start" | "steer" | "queue" }
  | { type: "draft"; draft: Draft }
  | { type: "cancel" }
  | { type: "decide"; id: string; decision: Decision }
  | { type: "answer"; id: string; answer: string }
  | { type: "undo"; turnId: string; redo: boolean }
  | { type: "open"; uri: string }
  | { type: "link"; href: string }
  | { type: "copy"; text: string }
  | { type: "insert"; text: string }
  | { type: "attach"; what: "file" | "selection" | "problems" }
  | { type: "complete"; request: number; text: string }
  | { type: "task"; taskId: string }
  | { type: "run"; command: "newSession" | "resume" | "persona" | "model" | "restart" | "log" | "doctor" };
