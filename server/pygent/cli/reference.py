"""`python -m pygent.cli.reference > docs/cli.md`: the page on the command line, made from the grammar."""

from __future__ import annotations

import argparse
import sys

from pygent.cli.grammar import Parser, parser
from pygent.cli.words import COMMANDS, EXAMPLES, EXIT_CODES, Word

HEAD = """\
# Command line

<!-- made by `python -m pygent.cli.reference` -->

`pygent [FLAGS] [COMMAND | REQUEST]`

Without a command `pygent` opens a conversation on the terminal; with a request it runs that and exits.
Flags may stand before or after the command; `--` ends them, so that what follows may begin with a dash.
`pygent COMMAND --help` says what stands here. Settings that no flag covers are in
[configuration.md](configuration.md), and `-e NAME=VALUE` sets any of them for one run.
"""

STREAMS = """\
## Output

Standard output carries the answer and nothing else, so it may be piped; what the agent does meanwhile goes
to standard error. With `--json` standard output has one event a line, as [protocol.md](protocol.md)
describes them, and the result as the last line. Without a terminal nothing is ever asked: what would need
consent is declined, the model is told, and standard error names the flag that allows it.

`NO_COLOR` switches colours off, `FORCE_COLOR` on; `TERM=dumb` leaves out everything but text. Control
characters in what models and tools say never reach the terminal.
"""


def page() -> str:
    """The whole page."""
    top, made = parser()
    parts = [HEAD, "## Examples\n\n" + _examples(EXAMPLES), "## Flags\n\n" + _flags(top), "## Commands\n"]
    parts += [_command(name, COMMANDS[name], of) for name, of in made.items()]
    parts += [_slash(), STREAMS, "## Exit codes\n\n| code | meaning |\n| --- | --- |\n" + _codes()]
    return "\n".join(parts)


def _command(name: str, word: Word, of: Parser) -> str:
    text = f"### `{_usage(name, of)}`\n\n{word.description}\n\n"
    if any(word.actions.values()):
        rows = "".join(f"| `{action}` | {meaning} |\n" for action, meaning in word.actions.items())
        text += f"| action | |\n| --- | --- |\n{rows}\n"
    if flags := _flags(of):
        text += flags + "\n"
    return text + _examples(word.examples)


def _usage(name: str, of: Parser) -> str:
    words = [f"pygent {name}"]
    for action in of._actions:
        if not action.option_strings:
            words.append(f"[{action.metavar}]" if action.nargs in ("?", "*") else str(action.metavar))
    return " ".join(words)


def _flags(of: Parser) -> str:
    rows = "".join(_row(action) for action in of._actions if action.option_strings and action.dest != "help")
    return f"| flag | |\n| --- | --- |\n{rows}" if rows else ""


def _row(action: argparse.Action) -> str:
    value = f" {action.metavar}" if action.metavar else ""
    return f"| {', '.join(f'`{name}{value}`' for name in action.option_strings)} | {action.help} |\n"


def _examples(examples: tuple[tuple[str, str], ...]) -> str:
    width = max(len(command) for command, _ in examples)
    return (
        "```sh\n" + "".join(f"{command:<{width}}  # {meaning}\n" for command, meaning in examples) + "```\n"
    )


def _slash() -> str:
    from pygent.cli.slash import SLASH  # noqa: PLC0415 - the parser's commands need nothing of it

    rows = "".join(
        f"| `{f'/{name} {one.usage}'.strip()}` | {one.summary} |\n".replace("|o", "\\|o")
        for name, one in SLASH.items()
    )
    return f"## In a conversation\n\n| command | |\n| --- | --- |\n{rows}"


def _codes() -> str:
    return "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())


if __name__ == "__main__":
    sys.stdout.write(page())
