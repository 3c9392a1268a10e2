"""Talk to the agent over the language server protocol, with nothing but Python's own library.

python examples/chat_over_lsp.py [FOLDER] [QUESTION]
"""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
QUESTION = sys.argv[2] if len(sys.argv) > 2 else "What does this project do?"
server = subprocess.Popen(["pygent-server", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def send(method: str, params: object, number: int | None = None) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    body = json.dumps(message if number is None else {**message, "id": number}).encode()
    server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    server.stdin.flush()


def receive() -> dict:
    length = 0
    while line := server.stdout.readline().strip():
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return json.loads(server.stdout.read(length))


def wait_for(number: int) -> dict:
    while (message := receive()).get("id") != number or "method" in message:
        event = message.get("params", {}).get("event", {}) if message.get("method") == "pygent/event" else {}
        if event.get("type") == "textDelta":  # the answer, as it is written
            print(event["text"], end="", flush=True)
    return message


folders = [{"uri": FOLDER.as_uri(), "name": FOLDER.name}]
options = {"pygent": {"events": True}}
start = {"processId": None, "capabilities": {}, "workspaceFolders": folders, "initializationOptions": options}
send("initialize", start, 1)
wait_for(1)
send("initialized", {})
send("workspace/executeCommand", {"command": "pygent.chat", "arguments": [{"text": QUESTION}]}, 2)
answer = wait_for(2)
print(f"\n[{answer['result']['status'] if 'result' in answer else answer['error']['message']}]")
send("shutdown", None, 3)
wait_for(3)
send("exit", None)
sys.exit(server.wait())
