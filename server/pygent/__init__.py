"""Pygent: an AI coding agent that lives behind any editor.

Importing the package reads no file, no environment and starts nothing.
"""

__version__ = "0.1.0"
