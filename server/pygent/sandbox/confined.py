"""The first process of a command under Landlock and seccomp, run as a file of its own.

`python -I confined.py USER POLICY COMMAND...`: becomes USER (`uid:gid`, empty to stay who it is), confines
what it starts by `sandlock` (POLICY: the arguments of its `Sandbox` as JSON), watches over it and ends with
its exit code.
"""

import ctypes
import importlib
import json
import os
import sys

PR_SET_DUMPABLE, PR_CAPBSET_DROP, CAPABILITIES = 4, 24, 64
NO_CAPABILITIES = (ctypes.c_uint32 * 6)()
VERSION_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)


def main() -> int:
    """Give up every right that the command must not have, and start it confined."""
    sandlock = importlib.import_module("sandlock")  # before our files are out of reach
    libc = ctypes.CDLL(None)
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails where there is nothing to give up
    user, _, group = sys.argv[1].partition(":")
    if user:
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
    libc.capset(VERSION_3, NO_CAPABILITIES)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # the library reads the memory of its children
    policy = json.loads(sys.argv[2])
    # A path that this user can't open would be an error, and is no loss.
    policy["fs_readable"] = [path for path in policy["fs_readable"] if os.access(path, os.R_OK)]
    return int(sandlock.Sandbox(**policy).run_interactive(sys.argv[3:]))


if __name__ == "__main__":
    sys.exit(main())
