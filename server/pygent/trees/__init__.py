"""Folders as git's trees: taken, compared, checked out and kept by a library, so that no program ever runs.

libgit2 (pygit2) reads and compares objects; the workspace itself is only looked at by `scan`, through
handles.  No configuration is read, neither the workspace's nor the person's nor the system's.
"""
