"""Session material apart from the inbox: a folder with a file for each account."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable
from urllib.parse import quote, unquote

from xyfast.errors import StoreError
from xyfast.secret import Secret
from xyfast.store.lock import Lock
from xyfast.store.worker import Worker

__all__ = ["FileSecretStore", "SecretStore", "read_private"]

T = TypeVar("T")

_MAGIC = b"xyfast session 1"
_SUFFIX, _UNFINISHED = ".session", ".new"


@runtime_checkable
class SecretStore(Protocol):
    """Keeps the session material of accounts: device id and cookies, as the platform rotates them.

    Every method raises `StoreError` when it could not do its work.
    """

    async def open(self) -> None:
        """Make ready."""

    async def load(self, account_id: str) -> Secret | None:
        """What `save` got last, also by an earlier run; None for a new account."""

    async def save(self, account_id: str, material: Secret) -> None:
        """Keep this in place of what was kept; a call that raised has changed nothing."""

    async def close(self) -> None:
        """Carry out what was asked for before, and let go of everything."""


class FileSecretStore:
    """Session material in clear, in a folder for this user alone.

    Each account has a file of mode 0600, which is replaced as a whole: whenever the process or
    the machine crashes, it holds what it held before or what was to be saved. A file that others
    may read, a folder that others may write to, and what belongs to another user than this one
    and root, are refused. One process at a time owns the folder, by a lock on its file ``lock``.
    """

    def __init__(self, path: str | os.PathLike[str], /) -> None:
        self._path = Path(path)
        self._lock: Lock | None = None
        self._worker: Worker | None = None

    async def open(self) -> None:
        """See `SecretStore.open`; makes the folder if there is none."""
        if self._worker is not None:
            raise StoreError(f"the secret store {self._path} is open already")
        self._worker = Worker("xyfast-secrets")
        try:
            await self._run(self._open)
        except BaseException:
            await self.close()
            raise

    async def load(self, account_id: str) -> Secret | None:
        """See `SecretStore.load`."""
        return await self._run(lambda: self._load(account_id))

    async def save(self, account_id: str, material: Secret) -> None:
        """See `SecretStore.save`."""
        await self._run(lambda: self._save(account_id, material))

    async def close(self) -> None:
        """See `SecretStore.close`."""
        worker = self._worker
        if worker is not None and worker.ours:
            self._worker = None
            await worker.end(self._let_go)

    def verify(self) -> int:
        """Read all that is kept, beside whoever has it open; of how many accounts that is.

        Nothing is changed. Raises `StoreError` for what `open` and `load` would refuse.
        """
        try:
            if not self._path.exists():
                return 0
            names = [name for name in os.listdir(self._path) if name.endswith(_SUFFIX)]
            self._check_folder()
            for name in names:
                self._load(unquote(name.removesuffix(_SUFFIX)))
            return len(names)
        except OSError as error:
            raise self._failed(error) from None

    # --- what a file holds ------------------------------------------------------------

    def _seal(self, account_id: str, text: str) -> tuple[bytes, bytes]:
        """The first line of a file, behind the version, and what follows it."""
        return b"", text.encode()

    def _unseal(self, account_id: str, kind: bytes, body: bytes) -> str:
        """The text of a file that is ours."""
        return body.decode()

    def _check(self, path: Path, kind: bytes) -> None:
        """Raise `StoreError` if a file is of a kind that is not ours."""
        if kind:
            raise StoreError(f"{path} is encrypted; open its folder with EncryptedSecretStore")

    # --- the thread -------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        if self._worker is None:
            raise StoreError(f"the secret store {self._path} is not open")
        if not self._worker.ours:
            raise StoreError(
                f"the secret store {self._path} was opened before a fork: it is its parent's"
            )
        try:
            return await self._worker.run(work)
        except BlockingIOError:
            raise StoreError(
                f"the secret store {self._path} is in use by another process or client; stop that "
                "one, or give another folder"
            ) from None
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"the secret store {self._path} failed: {error.strerror}")

    def _open(self) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_folder()
        self._lock = Lock(str(self._path / "lock"))
        for left in self._path.glob(f"*{_UNFINISHED}"):  # by a crash
            left.unlink()

    def _check_folder(self) -> None:
        facts = self._path.stat()
        _check_owner(self._path, facts)
        mode = stat.S_IMODE(facts.st_mode)
        if mode & 0o022:
            raise StoreError(
                f"others may write to the folder {self._path} (mode {mode:04o}); "
                f"run: chmod 700 {self._path}"
            )

    def _load(self, account_id: str) -> Secret | None:
        path = self._file(account_id)
        try:
            data = read_private(path)
        except FileNotFoundError:
            return None
        kind, body = self._split(path, data)
        try:
            return Secret(self._unseal(account_id, kind, body), parts=())
        except UnicodeDecodeError:
            raise StoreError(f"{path} is damaged; {_ANEW}") from None

    def _save(self, account_id: str, material: Secret) -> None:
        path = self._file(account_id)
        with suppress(FileNotFoundError), path.open("rb") as file:
            self._split(path, file.readline())  # what is not ours is not lost, either
        kind, body = self._seal(account_id, material.reveal())
        head = _MAGIC + b" " + kind if kind else _MAGIC
        unfinished = path.with_suffix(_UNFINISHED)
        unfinished.unlink(missing_ok=True)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
                file.write(head + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _split(self, path: Path, data: bytes) -> tuple[bytes, bytes]:
        head, _, body = data.partition(b"\n")
        if head != _MAGIC and not head.startswith(_MAGIC + b" "):
            raise StoreError(
                f"{path} is no session material, or that of a newer xyfast; update it, or {_ANEW}"
            )
        kind = head[len(_MAGIC) + 1 :]
        self._check(path, kind)
        return kind, body

    def _file(self, account_id: str) -> Path:
        return self._path / (quote(account_id, safe="") + _SUFFIX)

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


_ANEW = "move it away, and the account starts anew with the cookies that you give"


def read_private(path: Path) -> bytes:
    """Read a file; raises `StoreError` if it is another user's, or others may read it too."""
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        _check_owner(path, facts)
        mode = stat.S_IMODE(facts.st_mode)
        if mode & 0o077:
            raise StoreError(
                f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}, and if "
                "others use this machine, replace what is in it"
            )
        return file.read()


def _check_owner(path: Path, facts: os.stat_result) -> None:
    if facts.st_uid not in (0, os.geteuid()):
        raise StoreError(
            f"{path} belongs to another user (uid {facts.st_uid}), who may read and change it; "
            "give it to the user that runs this: chown"
        )
