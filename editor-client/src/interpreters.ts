// The interpreter that a Python extension has chosen, and word of each other choice.
import * as vscode from "vscode";

/** What `ms-python.vscode-python-envs` gives, as far as it is asked here. */
interface Environments {
  getEnvironment(scope?: vscode.Uri): Promise<{ execInfo?: { run: { executable: string } } } | undefined>;
  onDidChangeEnvironment?: vscode.Event<unknown>;
}
/** What `ms-python.python` gives; the path may be that of an environment's folder. */
interface Python {
  environments: {
    getActiveEnvironmentPath(scope?: vscode.Uri): { path: string };
    resolveEnvironment(which: { path: string }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    onDidChangeActiveEnvironmentPath?: vscode.Event<unknown>;
  };
}

export class Interpreters implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<unknown>();
  /** Another interpreter may be the chosen one: an extension says so, or an extension has come or gone. */
  readonly onChange = this.changed.event;
  private readonly heard = new Map<unknown, vscode.Disposable>();
  private readonly coming = vscode.extensions.onDidChange(() => this.changed.fire(undefined));

  /** That of the first folder, if a Python extension is there. */
  async active(): Promise<string | undefined> {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    for (const chosen of [() => this.byEnvironments(folder), () => this.byPython(folder)]) {
      try {
        const interpreter = await chosen();
        if (interpreter) return interpreter;
      } catch {
        // an extension that fails is as one that is not there
      }
    }
    return undefined;
  }

  dispose(): void {
    for (const one of [this.coming, this.changed, ...this.heard.values()]) one.dispose();
  }

  private async byEnvironments(folder?: vscode.Uri): Promise<string | undefined> {
    const environments = await vscode.extensions.getExtension<Environments>("ms-python.vscode-python-envs")?.activate();
    this.hear(environments, environments?.onDidChangeEnvironment);
    return (await environments?.getEnvironment(folder))?.execInfo?.run.executable;
  }

  private async byPython(folder?: vscode.Uri): Promise<string | undefined> {
    const { environments } = (await vscode.extensions.getExtension<Python>("ms-python.python")?.activate()) ?? {};
    this.hear(environments, environments?.onDidChangeActiveEnvironmentPath);
    return (await environments?.resolveEnvironment(environments.getActiveEnvironmentPath(folder)))?.executable.uri?.fsPath;
  }

  private hear(from: unknown, event: vscode.Event<unknown> | undefined): void {
    if (event && !this.heard.has(from)) this.heard.set(from, event(() => this.changed.fire(undefined)));
  }
}
