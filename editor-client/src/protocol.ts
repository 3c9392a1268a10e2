// Made by `python -m pygent.lsp.typescript` from the types of the server; do not edit.

/** Something that may only happen with a person's consent. `command` is exactly what will run. `detail` and `diff` are for people: the whole of what will be done, never the model's description of it, with each character that can't be seen as `\u{…}`; show `detail` rather than `command`. `isolation` is `local` for what runs outside of any sandbox, as tools of MCP servers and of the person's own do. `network`: whether it reaches the network; `background`: whether it goes on after the answer; `outside`: paths outside of the workspace that it can change; `why`: in a sentence, what else a person should know. */
export interface Approval {
  id: string;
  sessionId: string;
  kind: "command" | "edit" | "path" | "tool";
  title: string;
  detail: string;
  isolation: "bubblewrap" | "docker" | "landlock" | "local";
  taskId?: string;
  command?: string;
  diff?: string;
  background?: boolean;
  network?: boolean;
  outside?: string[];
  why?: string;
}

/** The agent waits for a person's consent. */
export interface ApprovalRequested {
  type: "approvalRequested";
  approval: Approval;
}

/** An approval was answered, by a client, a timeout or a rule (`by`). */
export interface ApprovalResolved {
  type: "approvalResolved";
  approvalId: string;
  decision: "accept" | "acceptForSession" | "cancel" | "decline";
  by: string;
  feedback?: string;
}

/** A file that a turn changed. */
export interface Change {
  uri: string;
  kind: "created" | "deleted" | "edited";
}

/** A tool changed a file; `diff` is unified. */
export interface ChangeMade {
  type: "changeMade";
  itemId: string;
  uri: string;
  kind: "created" | "deleted" | "edited";
  diff: string;
}

/** The snapshots before and after what the turn changed, its commands included; what undo goes back to. */
export interface Checkpoint {
  type: "checkpoint";
  before: string;
  after: string;
}

/** Older messages were made shorter for the model; what is stored and shown stays as it was. It concerns what happened up to the event `through`. `form` says how: `outputs` cut long outputs and arguments to `keep` characters, `turns` left only what the person and, in the end, the agent said, `summary` put `summary` in the place of everything. Tokens are estimates of the whole prompt. */
export interface Compacted {
  type: "compacted";
  tokensBefore: number;
  tokensAfter: number;
  form?: "outputs" | "summary" | "turns";
  through?: number;
  keep?: number;
  summary?: string;
}

/** What can be chosen: `insert` takes the place of the word; a file has its `uri`. */
export interface Completion {
  label: string;
  insert: string;
  detail?: string;
  uri?: string;
}

/** The answer to an `Approval`; `feedback` is told to the model. */
export interface Decision {
  decision: "accept" | "acceptForSession" | "cancel" | "decline";
  feedback?: string;
}

/** An event with its place: `seq` counts the stored events of a session from 1. An event that is not stored carries the `seq` of the last stored one before it. */
export interface Envelope {
  sessionId: string;
  seq: number;
  at: number;
  event: Event;
  turnId?: string;
  taskId?: string;
}

/** Why a turn or task failed: a stable `code`, a sentence for a person, and how to mend it. */
export interface Failure {
  code: string;
  message: string;
  fix?: string;
}

/** The session goes on from here as a copy of another. `turn_id` is the turn before which it left it, None for its end. `changed` says that turns after that changed files, which stay as they are. */
export interface Forked {
  type: "forked";
  sessionId: string;
  turnId?: string;
  changed?: boolean;
}

/** A whole text, once it is complete. An assistant's message holds the tool calls of the same answer, and in `extra` the fields that its server wants back (such as `reasoning_content`), so that the model's message list is a projection of the stored events. */
export interface Message {
  type: "message";
  itemId: string;
  role: "assistant" | "user";
  text: string;
  toolCalls?: ToolCall[];
  extra?: Record<string, unknown>;
}

/** Something a person should know: a fallback, a retry, a stall, a configuration problem. With the code `retry` the numbers say when a request to the model is sent again, in milliseconds since the epoch, and as which of how many further attempts: what a front end needs for a countdown. */
export interface Notice {
  type: "notice";
  level: "error" | "info" | "warning";
  text: string;
  code?: string;
  retryAt?: number;
  attempt?: number;
  attempts?: number;
}

/** A named character of an agent. `unconfirmed`: a folder or snapshot says so that the person has not trusted. */
export interface Persona {
  name: string;
  description?: string;
  unconfirmed?: boolean;
}

/** A question of the agent to the person, with answers to choose from or free text. */
export interface Question {
  id: string;
  sessionId: string;
  prompt: string;
  options?: string[];
}

/** A question got its answer. */
export interface QuestionAnswered {
  type: "questionAnswered";
  questionId: string;
  answer: string;
}

/** The agent waits for an answer. */
export interface QuestionAsked {
  type: "questionAsked";
  question: Question;
}

/** A piece of the model's reasoning; not stored. */
export interface ReasoningDelta {
  type: "reasoningDelta";
  itemId: string;
  text: string;
}

/** A conversation as a list shows it; `folder_uri` is the workspace folder it works in. `usage` is that of all its turns that have ended. */
export interface SessionInfo {
  id: string;
  title: string;
  createdAt: number;
  updatedAt: number;
  workspace: string;
  persona: Persona;
  status: "idle" | "running" | "waiting";
  folderUri?: string;
  model?: string;
  taskId?: string;
  parentSessionId?: string;
  usage?: Usage;
}

/** A piece of delegated work (PROTOCOL section 3, Delegation); `steps` counts model answers. `base` is the snapshot of what it was given, with which `diff` and `apply` compare, and `result` that of what it has made since; both are git trees, named by their content. `timeout` and `step_timeout` are its limits in seconds. `queue_place` is 1 for the queued task that comes next. */
export interface Task {
  id: string;
  title: string;
  prompt: string;
  status: "cancelled" | "completed" | "failed" | "interrupted" | "queued" | "running" | "timedOut" | "waiting";
  persona: Persona;
  sessionId: string;
  createdAt: number;
  workspace: string;
  steps: number;
  usage: Usage;
  changedFiles: string[];
  parentSessionId?: string;
  startedAt?: number;
  finishedAt?: number;
  waitingFor?: string;
  error?: Failure;
  base?: string;
  result?: string;
  timeout?: number;
  stepTimeout?: number;
  queuePlace?: number;
}

/** A delegated task of this session changed. */
export interface TaskChanged {
  type: "taskChanged";
  task: Task;
}

/** A piece of the assistant's text; not stored, the stored form is `Message`. */
export interface TextDelta {
  type: "textDelta";
  itemId: string;
  text: string;
}

/** One call that the model asked for. `call_id` is the model server's id, kept verbatim; `arguments` is the JSON text that is sent back to the server (`{}` if what came did not parse, so that the history stays acceptable). */
export interface ToolCall {
  itemId: string;
  callId: string;
  name: string;
  arguments: string;
}

/** The end of a tool call; `output` is exactly what the model is told. */
export interface ToolFinished {
  type: "toolFinished";
  itemId: string;
  status: "cancelled" | "completed" | "declined" | "failed" | "timedOut";
  output: string;
  truncated: boolean;
  durationMs: number;
  exitCode?: number;
  image?: string;
}

/** Output of a running tool as it is produced; not stored. */
export interface ToolOutput {
  type: "toolOutput";
  itemId: string;
  text: string;
}

/** A tool call is about to run; `title` is a short line for people. */
export interface ToolStarted {
  type: "toolStarted";
  itemId: string;
  name: string;
  title: string;
  arguments: Record<string, unknown>;
}

/** The one end of every turn. */
export interface TurnFinished {
  type: "turnFinished";
  status: "cancelled" | "completed" | "failed" | "limit" | "needsInput";
  reply: string;
  usage: Usage;
  error?: Failure;
}

/** How a turn ended; `reply` is the assistant's last text. */
export interface TurnResult {
  sessionId: string;
  turnId: string;
  status: "cancelled" | "completed" | "failed" | "limit" | "needsInput";
  reply: string;
  changes: Change[];
  usage: Usage;
  question?: Question;
  error?: Failure;
}

/** A person's message, or a task's prompt, opened a turn. */
export interface TurnStarted {
  type: "turnStarted";
  text: string;
  images?: string[];
}

/** The changes of a turn were taken back, or with `redone` made again. */
export interface TurnUndone {
  type: "turnUndone";
  turnId: string;
  redone?: boolean;
}

/** Tokens of a turn so far, or of a session; `cost` in the currency of the configured prices. `context_tokens` is the length of the last prompt, `context_window` what the model takes. `estimated`: the server did not count, so that the numbers are guesses from the length of the texts. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  cachedTokens?: number;
  contextTokens?: number;
  contextWindow?: number;
  cost?: number;
  estimated?: boolean;
}

/** Tokens of the turn so far, as in `Usage`. */
export interface UsageReported {
  type: "usage";
  promptTokens: number;
  completionTokens: number;
  cachedTokens?: number;
  contextTokens?: number;
  contextWindow?: number;
  cost?: number;
  estimated?: boolean;
}

export type Event = TurnStarted | TextDelta | ReasoningDelta | Message | ToolStarted | ToolOutput | ToolFinished | ChangeMade | ApprovalRequested | ApprovalResolved | QuestionAsked | QuestionAnswered | UsageReported | Compacted | Checkpoint | TurnUndone | Forked | TaskChanged | Notice | TurnFinished;

/** What each command takes and answers. */
export interface Commands {
  "pygent.code.explain": {
    arguments: {
      uri: string;
      range: Record<string, unknown>;
      diagnostics?: (Record<string, unknown>)[];
      wait?: boolean;
    };
    result: TurnResult;
  };
  "pygent.code.fix": {
    arguments: {
      uri: string;
      range: Record<string, unknown>;
      diagnostics?: (Record<string, unknown>)[];
      wait?: boolean;
    };
    result: Commands["pygent.code.explain"]["result"];
  };
  "pygent.code.test": {
    arguments: {
      uri: string;
      range: Record<string, unknown>;
      diagnostics?: (Record<string, unknown>)[];
      wait?: boolean;
    };
    result: Commands["pygent.code.explain"]["result"];
  };
  "pygent.code.document": {
    arguments: {
      uri: string;
      range: Record<string, unknown>;
      diagnostics?: (Record<string, unknown>)[];
      wait?: boolean;
    };
    result: Commands["pygent.code.explain"]["result"];
  };
  "pygent.code.delegate": {
    arguments: {
      uri: string;
      range: Record<string, unknown>;
      diagnostics?: (Record<string, unknown>)[];
      wait?: boolean;
    };
    result: { task: Task };
  };
  "pygent.chat": {
    arguments: {
      text: string;
      sessionId?: string;
      attachments?: (Record<string, unknown>)[];
      deliver?: "queue" | "start" | "steer";
      wait?: boolean;
      clientMessageId?: string;
    };
    result: TurnResult;
  };
  "pygent.cancel": {
    arguments: {
      sessionId?: string;
      turnId?: string;
      taskId?: string;
    };
    result: { cancelled: boolean };
  };
  "pygent.session.new": {
    arguments: {
      folderUri?: string;
      persona?: string;
      model?: string;
      title?: string;
    };
    result: { session: SessionInfo };
  };
  "pygent.session.list": {
    arguments: {
      folderUri?: string;
      search?: string;
      limit?: number;
      cursor?: string;
    };
    result: { sessions: SessionInfo[]; nextCursor?: string };
  };
  "pygent.session.get": {
    arguments: {
      sessionId: string;
    };
    result: { session: SessionInfo; messages: unknown[] };
  };
  "pygent.session.events": {
    arguments: {
      sessionId: string;
      after?: number;
      limit?: number;
    };
    result: { events: Envelope[]; seq: number };
  };
  "pygent.session.fork": {
    arguments: {
      sessionId: string;
      beforeTurnId?: string;
    };
    result: { session: SessionInfo };
  };
  "pygent.session.compact": {
    arguments: {
      sessionId: string;
    };
    result: { session: SessionInfo; tokensBefore: number; tokensAfter: number };
  };
  "pygent.session.rename": {
    arguments: {
      sessionId: string;
      title: string;
    };
    result: { session: SessionInfo };
  };
  "pygent.session.delete": {
    arguments: {
      sessionId: string;
    };
    result: { deleted: boolean };
  };
  "pygent.session.export": {
    arguments: {
      sessionId: string;
      format: "json" | "md";
    };
    result: { text: string };
  };
  "pygent.approvals": {
    arguments: Record<string, never>;
    result: { approvals: Approval[] };
  };
  "pygent.approval.respond": {
    arguments: {
      approvalId: string;
      decision: "accept" | "acceptForSession" | "cancel" | "decline";
      feedback?: string;
    };
    result: { resolved: boolean };
  };
  "pygent.undo": {
    arguments: {
      sessionId?: string;
      turnId?: string;
      preview?: boolean;
    };
    result: { files: { uri: string; action: string; conflict?: string }[]; restored: boolean };
  };
  "pygent.redo": {
    arguments: {
      sessionId?: string;
      turnId?: string;
      preview?: boolean;
    };
    result: Commands["pygent.undo"]["result"];
  };
  "pygent.complete": {
    arguments: {
      text: string;
      sessionId?: string;
    };
    result: { items: Completion[] };
  };
  "pygent.conversation.send": {
    arguments: {
      uri: string;
      line?: number;
      wait?: boolean;
    };
    result: TurnResult;
  };
  "pygent.conversation.answer": {
    arguments: {
      uri: string;
      text: string;
      wait?: boolean;
    };
    result: Commands["pygent.conversation.send"]["result"];
  };
  "pygent.conversation.stop": {
    arguments: {
      uri: string;
    };
    result: { cancelled: boolean };
  };
  "pygent.conversation.tidy": {
    arguments: {
      uri: string;
    };
    result: { tidy: boolean };
  };
  "pygent.personas": {
    arguments: Record<string, never>;
    result: { personas: { name: string; description: string; active: boolean }[] };
  };
  "pygent.persona.use": {
    arguments: {
      name: string;
      sessionId?: string;
    };
    result: { persona: Persona };
  };
  "pygent.models": {
    arguments: Record<string, never>;
    result: { models: { id: string }[]; active: string };
  };
  "pygent.model.use": {
    arguments: {
      name: string;
      sessionId?: string;
    };
    result: { model: string };
  };
  "pygent.tools": {
    arguments: {
      sessionId?: string;
    };
    result: { tools: { name: string; description: string; parameters: unknown; enabled: boolean; source: string }[] };
  };
  "pygent.tool.enable": {
    arguments: {
      name: string;
      sessionId?: string;
    };
    result: Commands["pygent.tools"]["result"];
  };
  "pygent.tool.disable": {
    arguments: {
      name: string;
      sessionId?: string;
    };
    result: Commands["pygent.tools"]["result"];
  };
  "pygent.config.show": {
    arguments: {
      folderUri?: string;
    };
    result: { values: { [key: string]: { value: unknown; origin: string; location?: string; shadowed?: unknown } }; diagnostics: unknown[]; wouldChange: { key: string; value: unknown; origin: string; files?: string[] }[] };
  };
  "pygent.config.reload": {
    arguments: {
      folderUri?: string;
    };
    result: Commands["pygent.config.show"]["result"];
  };
  "pygent.sandbox.status": {
    arguments: {
      folderUri?: string;
    };
    result: { requested: string; effective: string; reason?: string; image?: string; network: boolean; workspace: string; limits: unknown; containerId?: string; outside?: string[] };
  };
  "pygent.sandbox.run": {
    arguments: {
      command: string;
      folderUri?: string;
      timeout?: number;
    };
    result: { exitCode?: number; output: string; timedOut: boolean; truncated: boolean; durationMs: number };
  };
  "pygent.sandbox.restart": {
    arguments: {
      folderUri?: string;
    };
    result: Commands["pygent.sandbox.status"]["result"];
  };
  "pygent.workspace.trust": {
    arguments: {
      trusted: boolean;
      folderUri?: string;
    };
    result: { folderUri: string; trusted: boolean; wouldChange: { key: string; value: unknown; origin: string; files?: string[] }[] };
  };
  "pygent.doctor": {
    arguments: Record<string, never>;
    result: { checks: { id: string; status: string; message: string; fix?: string }[] };
  };
  "pygent.snapshot.save": {
    arguments: {
      dir: string;
      sessionId?: string;
    };
    result: { dir: string; files: string; leftOut?: string };
  };
  "pygent.snapshot.load": {
    arguments: {
      dir: string;
      sessionId?: string;
      protected?: string[];
    };
    result: { dir: string; files: string; leftOut?: string; before: string; sessionId: string };
  };
  "pygent.delegate": {
    arguments: {
      prompt: string;
      persona?: string;
      files?: string[];
      sessionId?: string;
      isolation?: "copy" | "files";
      timeout?: number;
      stepTimeout?: number;
    };
    result: { task: Task };
  };
  "pygent.tasks": {
    arguments: {
      status?: "cancelled" | "completed" | "failed" | "interrupted" | "queued" | "running" | "timedOut" | "waiting";
      sessionId?: string;
      folderUri?: string;
      limit?: number;
    };
    result: { tasks: Task[] };
  };
  "pygent.task.get": {
    arguments: {
      taskId: string;
    };
    result: { task: Task };
  };
  "pygent.task.log": {
    arguments: {
      taskId: string;
      after?: number;
      limit?: number;
    };
    result: { events: Envelope[]; seq: number };
  };
  "pygent.task.wait": {
    arguments: {
      taskIds: string[];
      timeout?: number;
    };
    result: { tasks: Task[] };
  };
  "pygent.task.cancel": {
    arguments: {
      taskId: string;
    };
    result: { task: Task };
  };
  "pygent.task.collect": {
    arguments: {
      taskId: string;
      path: string;
      dest?: string;
    };
    result: { collected: string[] };
  };
  "pygent.task.send": {
    arguments: {
      taskId: string;
      text: string;
    };
    result: { delivered: boolean };
  };
  "pygent.task.retry": {
    arguments: {
      taskId: string;
    };
    result: { task: Task };
  };
  "pygent.task.delete": {
    arguments: {
      taskId: string;
    };
    result: { deleted: boolean };
  };
  "pygent.task.diff": {
    arguments: {
      taskId: string;
    };
    result: { diff: string; files: { path: string; kind: Change["kind"]; added?: number; removed?: number }[] };
  };
  "pygent.task.file": {
    arguments: {
      taskId: string;
      path: string;
      side?: "after" | "before";
    };
    result: { text: string };
  };
  "pygent.task.apply": {
    arguments: {
      taskId: string;
      files?: string[];
      preview?: boolean;
    };
    result: { applied: string[]; conflicts: { path: string; reason: string }[] };
  };
  "pygent.show": {
    arguments: {
      uri: string;
    };
    result: { uri: string; shown: boolean };
  };
}
