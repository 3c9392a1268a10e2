"""The settings: layers of data with their origins, and which folders are trusted to set what."""

from typing import TYPE_CHECKING

from pygent.config.check import check
from pygent.config.load import Config, Value, config_files, load, wire
from pygent.config.settings import TABLE, VARIABLES, Limits, Price, Setting, Settings
from pygent.config.sources import Diagnostic, Origin
from pygent.config.trust import Trust
from pygent.lazily import lazily

__all__ = [
    "TABLE",
    "VARIABLES",
    "Config",
    "Diagnostic",
    "Limits",
    "Origin",
    "Price",
    "Setting",
    "Settings",
    "Trust",
    "Value",
    "check",
    "config_files",
    "load",
    "wire",
]

if not TYPE_CHECKING:  # Pygent 1.0 had these here
    __getattr__ = lazily(__name__, dict.fromkeys(("load_config", "load_snapshot"), "pygent.classic"))
