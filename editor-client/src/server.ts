// The server's life: found, started, checked, restarted after a crash, and called.
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  type LanguageClientOptions,
  type Middleware,
} from "vscode-languageclient/node";
import { Interpreters } from "./interpreters";
import { locate, NotFound, type Found } from "./locate";
import type { Approval, Commands, Decision, Envelope, Question } from "./protocol";

const PROTOCOL = 1;
const DELAYS = [500, 1000, 2000, 5000, 10_000, 30_000]; // milliseconds before each restart in a row
const STEADY = 60_000; // milliseconds after which a server counts as started well
const TRIES = 4; // starts anew after which one that still does not start is given up

export type Health = "starting" | "running" | "restarting" | "failed";

/** What the server asks of a person; the answer may come from several places, and the token says it did. */
export interface Person {
  approve(approval: Approval, token: vscode.CancellationToken): Promise<Decision>;
  ask(question: Question, token: vscode.CancellationToken): Promise<{ answer: string | null }>;
}

/** A server that no other start makes fit. */
class Unfit extends Error {}

/** A client that leaves it to us to tell a person what is wrong. */
class Quiet extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

export class Server implements vscode.Disposable {
  readonly log = vscode.window.createOutputChannel("Pygent", { log: true });
  private readonly heard = new vscode.EventEmitter<Envelope>();
  private readonly changed = new vscode.EventEmitter<Health>();
  /** Events of every session, as they come. */
  readonly onEvent = this.heard.event;
  readonly onHealth = this.changed.event;
  private readonly gaveUp = new vscode.EventEmitter<Error>();
  /** Why the server does not run and is not started again: NotFound, or what kept it from starting. */
  readonly onFailure = this.gaveUp.event;
  readonly interpreters = new Interpreters();
  health: Health = "starting";
  /** Milliseconds that a server which crashed is not started for. */
  delay = 0;
  found: Found | undefined;
  middleware: Middleware = {};
  private client: LanguageClient | undefined;
  private turn: Promise<void> = Promise.resolve();
  private asked = 0;
  private looked = 0;
  private crashes = 0;
  private startedAt = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly storage: vscode.Uri,
    private readonly person: Person,
  ) {}

  /** Call a command once the server runs.  Throws what it refuses with. */
  async call<Name extends keyof Commands>(
    command: Name,
    args: Commands[Name]["arguments"],
    token?: vscode.CancellationToken,
  ): Promise<Commands[Name]["result"]> {
    const client = await this.ready(token);
    const params = { command, arguments: [args] };
    return client.sendRequest<Commands[Name]["result"]>("workspace/executeCommand", params, ...(token ? [token] : []));
  }

  /** Find and start the server; one that ends as it starts is started again.  Throws what that can't mend, as NotFound. */
  async start(): Promise<void> {
    this.set("starting");
    this.found = undefined;
    try {
      this.found = await locate(this.storage, this.interpreters);
      const { origin, version } = this.found;
      this.log.info(`${origin}: ${line(this.found)} (${version})`);
      const client = (this.client = this.create(this.found));
      await client.start();
      this.check(client);
      this.startedAt = Date.now();
      this.set("running");
    } catch (error) {
      this.log.error(String(error));
      const mendable = !(error instanceof NotFound || error instanceof Unfit);
      if (mendable && this.crashes < TRIES) return this.crashed();
      this.set("failed");
      throw mendable ? new Error(notRunning(), { cause: error }) : error;
    }
  }

  /** Whether another server is found now, once a start that is under way is over; of several who ask, the last is told. */
  async outdated(): Promise<boolean> {
    const looked = ++this.looked;
    await this.turn;
    const found = await locate(this.storage, this.interpreters).catch(() => undefined);
    return found !== undefined && looked === this.looked && (!this.found || line(found) !== line(this.found));
  }

  /** End the server, whatever it does. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined;
    try {
      await client?.dispose();
    } catch (error) {
      this.log.warn(String(error)); // it has crashed, or never started
    }
  }

  /** End the server and start it as the settings say now. */
  restart(): Promise<void> {
    this.crashes = 0;
    return this.again();
  }

  /** Start anew, one after the other: two servers at once would both register their commands. */
  private again(): Promise<void> {
    const asked = ++this.asked;
    const turn = this.turn.then(async () => {
      if (asked !== this.asked) return; // it is asked for again, and that one starts it
      await this.stop();
      await this.start();
    });
    return (this.turn = turn.catch((error: unknown) => this.gaveUp.fire(error as Error)));
  }

  dispose(): void {
    void this.stop();
    this.interpreters.dispose();
    this.log.dispose();
  }

  private set(health: Health): void {
    this.health = health;
    void vscode.commands.executeCommand("setContext", "pygent.running", health === "running");
    this.changed.fire(health);
  }

  private ready(token?: vscode.CancellationToken): Promise<LanguageClient> {
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        if (this.health === "running" && this.client) resolve(this.client);
        else if (this.health === "failed") reject(new Error(notRunning()));
        else if (token?.isCancellationRequested) reject(new vscode.CancellationError());
        else return false;
        return true;
      };
      if (settle()) return;
      const waiting = [this.onHealth(() => settle() && done()), token?.onCancellationRequested(() => settle() && done())];
      const done = () => waiting.forEach((one) => one?.dispose());
    });
  }

  private create({ command, args }: Found): LanguageClient {
    const cwd = this.storage.fsPath; // it is there since the server was found; see `neutral`
    const options: LanguageClientOptions = {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: {
        pygent: { events: true, approvals: true, questions: true, trusted: vscode.workspace.isTrusted, config: config() },
      },
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => ({ action: CloseAction.DoNotRestart, handled: true }), // we do, with a delay
      },
      initializationFailedHandler: () => false,
      middleware: this.middleware,
    };
    const client = new Quiet("pygent", "Pygent", { command, args, options: { cwd } }, options);
    client.onNotification("pygent/event", (envelope: Envelope) => this.heard.fire(envelope));
    const { person } = this;
    client.onRequest("pygent/approve", (asked: Approval, token: vscode.CancellationToken) => person.approve(asked, token));
    client.onRequest("pygent/ask", (asked: Question, token: vscode.CancellationToken) => person.ask(asked, token));
    client.onDidChangeState(({ newState }) => {
      if (newState === State.Stopped && this.client === client && this.health === "running") this.crashed();
    });
    return client;
  }

  private check(client: LanguageClient): void {
    const { serverInfo, capabilities } = client.initializeResult ?? {};
    const { name, version } = serverInfo ?? { name: "?" };
    const spoken = (capabilities?.experimental as { pygent?: { protocol?: number } } | undefined)?.pygent?.protocol;
    if (name === "pygent-server" && spoken === PROTOCOL) return;
    throw new Unfit(
      vscode.l10n.t(
        "{0} {1} speaks protocol {2} and this extension speaks {3}: update the older one of them.",
        name,
        version ?? "",
        String(spoken ?? "?"),
        PROTOCOL,
      ),
    );
  }

  private crashed(): void {
    if (this.health === "running" && Date.now() - this.startedAt > STEADY) this.crashes = 0;
    this.delay = DELAYS[Math.min(this.crashes++, DELAYS.length - 1)] ?? 0;
    this.log.error(`the server ended; it is started again in ${this.delay} ms`);
    this.set("restarting");
    this.timer = setTimeout(() => void this.again(), this.delay);
  }
}

function line({ command, args }: Found): string {
  return [command, ...args].join(" ");
}

function notRunning(): string {
  return vscode.l10n.t("Pygent's server does not run. The log says why.");
}

function config(): unknown {
  return vscode.workspace.getConfiguration("pygent").get("config", {});
}
