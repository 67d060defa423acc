"""One process at a time: an advisory lock on a file of its own."""

from __future__ import annotations

import fcntl
import os
import stat

__all__ = ["Lock"]

# Record locks belong to a process, and closing any descriptor of the file lets go of them:
# a second user within the process must be refused before the file is opened. A forked child
# keeps its copy of this: what SQLite knows of the locks on an open file is wrong there, so
# the child may not use that file even when its parent is gone.
_held: dict[str, Lock] = {}


class Lock:
    """Holds ``path`` until `release` or the end of the process.

    A forked child neither holds it nor can let go of it. Raises `BlockingIOError` when
    somebody else has it, other `OSError` when the file cannot be made. The file stays: to
    remove it would take the lock away from somebody who just got it.
    """

    def __init__(self, path: str) -> None:
        self._name = os.path.realpath(path)
        self._process = os.getpid()
        if _held.setdefault(self._name, self) is not self:
            raise BlockingIOError("held within this process")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if stat.S_IMODE(os.fstat(self._descriptor).st_mode) != 0o600:
                    os.fchmod(self._descriptor, 0o600)
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except PermissionError:  # POSIX lets a lock that is held say this, too
                os.close(self._descriptor)
                raise BlockingIOError("held by another process") from None
            except BaseException:
                os.close(self._descriptor)
                raise
        except BaseException:
            del _held[self._name]
            raise

    def release(self) -> None:
        """Let go; not for a forked child."""
        if self._process == os.getpid():
            del _held[self._name]
            os.close(self._descriptor)
