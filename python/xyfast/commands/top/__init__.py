"""``xyfast top``: the status page of a client that runs, on a terminal."""

from xyfast.commands.top.command import add_parser

__all__ = ["add_parser"]
