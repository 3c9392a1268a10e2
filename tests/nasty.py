"""Texts that a screen hides, joins, reorders or cuts, for every place where a person decides about one."""

UNSEEN = [
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u180f", "\u200b"),
    *("\u200c", "\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2060", "\u2066"),
    *("\u2069", "\u206f", "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\ufffc"),
    *("\u00a0", "\u1680", "\u2003", "\u202f", "\u205f", "\u3000", "\ue000", "\ufdd0", "\U0001bca0"),
    *("\U0001d173", "\U000e0001", "\U000e0041", "\U000e0100", "\U000f0000", "\U0010fffd"),
    *("\x00", "\x07", "\x08", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\x9b", "\r"),
]
"""Characters that are not seen, one of each kind."""

LINES = [
    *("--- a/x", "+++ b/x", "++ x", "-- x", "@@ -1 +1 @@", "\\ No newline at end of file", "diff --git a b"),
    *("## You", "## Pygent", "> **Allowed**", "```", "~~~~", "</details>", "<!-- pygent: ses_00 -->", "$ ls"),
    *("Run a command (in Docker)", "a  two  blanks  b", "trailing \\ ", "\\u{200b}", "\\\\u{200b}"),
]
"""Lines that look like something else to a program that shows them."""

COMMANDS = [
    *(f"python3 te{char}st.py" for char in UNSEEN),
    *(f"echo begin\n{line}\necho end" for line in LINES),
    "\x1b[2K\x1b[1Arm x",
    "ls\rrm x",
    "rm x\x08\x08\x08\x08ls",
    "echo " + "y" * 10_000 + "; rm tail",
    "echo " + " " * 3_000 + "; rm tail",
    "\n".join(f"echo {number}" for number in range(5_000)),
    "\n" * 200 + "rm tail",
]
"""Commands that are easily shown as others."""
