"""The command line: ``xyfast`` and ``python -m xyfast``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from xyfast import __version__
from xyfast.commands import dead, decode, demo, outbox, replay, serve

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 well, 1 not all is well, 2 wrong use."""
    parser = argparse.ArgumentParser(
        prog="xyfast", description="Codec and client for the 闲鱼/Goofish web IM."
    )
    parser.add_argument("--version", action="version", version=f"xyfast {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (demo, serve, decode, dead, replay, outbox):
        module.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads has seen enough. What is left to print must not fail at the exit, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ImportError as error:
        # Only xyfast.testing is imported late; its message says what to install.
        print(f"xyfast: {error}", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
