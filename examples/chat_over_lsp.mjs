// Talk to the agent over the language server protocol, with nothing but Node's own library.
//
//     node examples/chat_over_lsp.mjs [FOLDER] [QUESTION]
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder = ".", question = "What does this project do?"] = process.argv.slice(2);
const server = spawn("pygent-server", ["--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const waiting = new Map();
let read = Buffer.alloc(0);
let last = 0;

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  server.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
  server.stdin.write(body);
}

function request(method, params) {
  send({ id: ++last, method, params });
  return new Promise((answer) => waiting.set(last, answer));
}

function received(message) {
  if (message.method === "pygent/event" && message.params.event.type === "textDelta") {
    process.stdout.write(message.params.event.text); // the answer, as it is written
  } else if (message.method === undefined) {
    waiting.get(message.id)?.(message);
  }
}

server.stdout.on("data", (data) => {
  read = Buffer.concat([read, data]);
  for (;;) {
    const end = read.indexOf("\r\n\r\n");
    const length = Number(/content-length: *(\d+)/i.exec(read.subarray(0, end).toString())?.[1]);
    if (end < 0 || read.length < end + 4 + length) return;
    received(JSON.parse(read.subarray(end + 4, end + 4 + length)));
    read = read.subarray(end + 4 + length);
  }
});

const uri = pathToFileURL(resolve(folder)).href;
const initializationOptions = { pygent: { events: true } };
const workspaceFolders = [{ uri, name: "project" }];
await request("initialize", { processId: process.pid, capabilities: {}, workspaceFolders, initializationOptions });
send({ method: "initialized", params: {} });
const chat = { command: "pygent.chat", arguments: [{ text: question }] };
const { result, error } = await request("workspace/executeCommand", chat);
console.log(`\n[${result?.status ?? error.message}]`);
await request("shutdown");
send({ method: "exit" });
