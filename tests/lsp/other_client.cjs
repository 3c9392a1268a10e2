// A language client of another make: VS Code's own JSON-RPC, driven over the pipe of a server process.
// node other_client.cjs MODULES FOLDER SERVER...: prints what it got as one JSON object.
const { createRequire } = require("node:module");
const { spawn } = require("node:child_process");
const { pathToFileURL } = require("node:url");
const [modules, folder, ...server] = process.argv.slice(2);
const lsp = createRequire(modules + "/")("vscode-languageserver-protocol/node");

async function main() {
  const child = spawn(server[0], server.slice(1), { cwd: folder, stdio: ["pipe", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.on("exit", resolve));
  const connection = lsp.createProtocolConnection(
    new lsp.StreamMessageReader(child.stdout),
    new lsp.StreamMessageWriter(child.stdin),
  );
  const got = { asked: [], progress: [], unhandled: [], logged: [], errors: [] };
  connection.onError((error) => got.errors.push(String(error)));
  connection.onNotification("window/logMessage", (params) => got.logged.push(params.message));
  connection.onUnhandledNotification((message) => got.unhandled.push(message.method));
  connection.onRequest(lsp.ShowMessageRequest.type, (params) => {
    got.asked.push("message");
    return params.actions[0];
  });
  connection.onRequest(lsp.WorkDoneProgressCreateRequest.type, (params) => {
    connection.onProgress(lsp.WorkDoneProgress.type, params.token, (value) => got.progress.push(value.kind));
  });
  connection.onRequest(lsp.RegistrationRequest.type, () => undefined);
  const uri = pathToFileURL(folder + "/a.txt").href;
  const buffer = { version: 1, text: "😀 one\n" };
  connection.onRequest(lsp.ApplyWorkspaceEditRequest.type, ({ edit }) => {
    const [change] = edit.documentChanges;
    if (!lsp.TextDocumentEdit.is(change) || change.textDocument.version !== buffer.version) return { applied: false };
    const [{ range, newText }] = change.edits;
    const lines = buffer.text.split("\n");
    const line = lines[range.start.line];
    lines[range.start.line] = line.slice(0, range.start.character) + newText + line.slice(range.end.character);
    buffer.text = lines.join("\n");
    buffer.version += 1;
    void connection.sendNotification(lsp.DidChangeTextDocumentNotification.type, {
      textDocument: { uri, version: buffer.version },
      contentChanges: [{ range, text: newText }],
    });
    return { applied: true };
  });
  connection.listen();
  const root = pathToFileURL(folder).href;
  got.initialize = await connection.sendRequest(lsp.InitializeRequest.type, {
    processId: process.pid,
    rootUri: root,
    workspaceFolders: [{ uri: root, name: "w" }],
    initializationOptions: { pygent: { trusted: true } },
    capabilities: {
      window: { workDoneProgress: true, showMessage: {} },
      workspace: { applyEdit: true, workspaceEdit: { documentChanges: true } },
    },
  });
  await connection.sendNotification(lsp.InitializedNotification.type, {});
  await connection.sendNotification(lsp.DidOpenTextDocumentNotification.type, {
    textDocument: { uri, languageId: "text", version: buffer.version, text: buffer.text },
  });
  const run = (command, fields) =>
    connection.sendRequest(lsp.ExecuteCommandRequest.type, { command, arguments: [fields] });
  got.chat = await run("pygent.chat", { text: "go" });
  got.text = buffer.text;
  got.refusal = await run("pygent.session.get", { sessionId: 5 }).catch(({ code, data }) => ({ code, data }));
  const source = new lsp.CancellationTokenSource();
  const slow = { command: "pygent.sandbox.run", arguments: [{ command: "sleep 600" }] };
  const waiting = connection.sendRequest(lsp.ExecuteCommandRequest.type, slow, source.token);
  source.cancel();
  got.cancelled = await waiting.catch((error) => error.code);
  await connection.sendRequest(lsp.ShutdownRequest.type);
  await connection.sendNotification(lsp.ExitNotification.type);
  got.code = await exited;
  console.log(JSON.stringify(got));
}

void main();
