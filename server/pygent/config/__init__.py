"""The settings: layers of data with their origins, and which folders are trusted to set what."""

from typing import TYPE_CHECKING

from pygent.config.check import check
from pygent.config.guard import Value, wire
from pygent.config.load import Config, config_files, load
from pygent.config.look import Look
from pygent.config.settings import TABLE, VARIABLES, Limits, Price, Setting, Settings
from pygent.config.sources import Diagnostic, Origin
from pygent.config.standing import Layers, Standing
from pygent.config.trust import Trust
from pygent.lazily import lazily

__all__ = [
    "TABLE",
    "VARIABLES",
    "Config",
    "Diagnostic",
    "Layers",
    "Limits",
    "Look",
    "Origin",
    "Price",
    "Setting",
    "Settings",
    "Standing",
    "Trust",
    "Value",
    "check",
    "config_files",
    "load",
    "wire",
]

if not TYPE_CHECKING:  # Pygent 1.0 had these here
    __getattr__ = lazily(__name__, dict.fromkeys(("load_config", "load_snapshot"), "pygent.classic"))
