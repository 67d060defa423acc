"""The command line: ``xyfast`` and ``python -m xyfast``."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from xyfast.commands.parser import make_parser
from xyfast.commands.shared import complain
from xyfast.errors import ConfigError, StoreError
from xyfast.shown import ESCAPE

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: done, and all is well. 1: done, and not all is well, or the store could not be used; the
    command says what. 2: wrong use, or a file that cannot be used. 130: Ctrl-C. 141: whoever
    reads the output has seen enough.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE)
    options = make_parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads has seen enough. What is left to print must not fail at the exit, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except StoreError as error:
        complain(options, str(error))
        return 1
    except (ConfigError, ImportError) as error:
        # Of modules only xyfast.testing is imported late; its message says what to install.
        complain(options, str(error))
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
