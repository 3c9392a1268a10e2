"""A model server that replays a script: the one fake of the tests, and the demo's model."""

from pygent.replay.script import Demand, Fault, Match, Reply, Script, ScriptedCall, read_script
from pygent.replay.server import ReplayServer

__all__ = ["Demand", "Fault", "Match", "ReplayServer", "Reply", "Script", "ScriptedCall", "read_script"]
