"""Session material apart from the inbox: kept whole, for its owner alone, or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from xyfast import (
    ConfigError,
    EncryptedSecretStore,
    FileSecretStore,
    Secret,
    SecretStore,
    StoreError,
)

ME, OTHER = "9000000000001", "9000000000002"
KEY = "c3ludGhldGljLXN5bnRoZXRpYy1zeW50aGV0aWMtMSE="
OTHER_KEY = "b3RoZXItc3ludGhldGljLXN5bnRoZXRpYy1rZXktMiE="
TEXT = '{"device_id": "canary-device", "cookies": {"a": "canary-cookie 名"}}'


def plain(path: Path) -> SecretStore:
    return FileSecretStore(path)


def sealed(path: Path) -> SecretStore:
    return EncryptedSecretStore(path, key=KEY)


Make = Callable[[Path], SecretStore]


@pytest.fixture(params=[plain, sealed])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


@pytest.fixture
async def store(make: Make, folder: Path) -> AsyncIterator[SecretStore]:
    store = make(folder)
    await store.open()
    yield store
    await store.close()


async def loaded(store: SecretStore, account: str = ME) -> str | None:
    material = await store.load(account)
    return None if material is None else material.reveal()


async def saved(store: SecretStore, text: str = TEXT) -> None:
    await store.open()
    await store.save(ME, Secret(text))
    await store.close()


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def modes(*paths: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in paths}


def write(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


# --- what it keeps ----------------------------------------------------------------------------


async def test_the_last_of_each_account_is_kept_across_a_restart(make: Make, folder: Path) -> None:
    store = make(folder)
    await store.open()
    assert await loaded(store) is None
    await store.save(ME, Secret("first"))
    await store.save(ME, Secret(TEXT))
    await store.save(OTHER, Secret("theirs"))
    await store.close()
    again = make(folder)
    await again.open()
    assert (await loaded(again), await loaded(again, OTHER)) == (TEXT, "theirs")
    await again.close()


async def test_any_name_of_an_account_is_a_file_in_the_folder(
    store: SecretStore, folder: Path
) -> None:
    for name in ("../up", "a/b", ".", "名"):
        await store.save(name, Secret(name))
        assert await loaded(store, name) == name
    assert len(names(folder, "*.session")) == 4
    assert names(folder.parent) == ["secrets"]


async def test_files_and_folder_are_for_their_owner_alone(store: SecretStore, folder: Path) -> None:
    old = os.umask(0)
    try:
        await store.save(ME, Secret(TEXT))
    finally:
        os.umask(old)
    assert modes(folder) == {0o700}
    assert modes(*(folder / name for name in names(folder))) == {0o600}


async def test_encrypted_files_show_nothing(folder: Path) -> None:
    await saved(plain(folder))
    assert b"canary" in content(folder)
    await saved(sealed(folder))
    assert b"canary" not in content(folder)


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
async def test_a_file_that_others_may_read_is_refused(make: Make, folder: Path, mode: int) -> None:
    await saved(make(folder))
    (folder / f"{ME}.session").chmod(mode)
    store = make(folder)
    await store.open()
    with pytest.raises(StoreError, match=rf"mode {mode:04o}\); run: chmod 600 .*{ME}"):
        await store.load(ME)
    (folder / f"{ME}.session").chmod(0o600)
    assert await loaded(store) == TEXT
    await store.close()


async def test_a_folder_that_others_may_write_to_is_refused(make: Make, folder: Path) -> None:
    write(folder / "file", b"")
    os.chmod(folder, 0o770)
    with pytest.raises(StoreError, match=r"mode 0770\); run: chmod 700"):
        await make(folder).open()


async def test_one_client_at_a_time_owns_the_folder(
    store: SecretStore, make: Make, folder: Path
) -> None:
    with pytest.raises(StoreError, match="in use by another"):
        await make(folder).open()
    with pytest.raises(StoreError, match="open already"):
        await store.open()


async def test_a_store_that_is_not_open_says_so(make: Make, folder: Path) -> None:
    store = make(folder)
    for call in (store.load(ME), store.save(ME, Secret("a"))):
        with pytest.raises(StoreError, match="not open"):
            await call
    await store.close()


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"xyfast session 2\n{}", b"xyfast session 1\n\xff", b"other\nfile"]
)
async def test_what_it_cannot_read_is_named_and_not_shown(folder: Path, data: bytes) -> None:
    write(folder / f"{ME}.session", data)
    store = plain(folder)
    await store.open()
    with pytest.raises(StoreError, match=f"{ME}.session is .*starts anew") as caught:
        await store.load(ME)
    assert caught.value.__cause__ is None
    await store.close()


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [lambda folder: EncryptedSecretStore(folder, key=OTHER_KEY), plain],
    ids=["key", "none"],
)
async def test_what_another_key_encrypted_is_neither_read_nor_overwritten(
    other: Make, folder: Path
) -> None:
    await saved(sealed(folder))
    before = content(folder)
    store = other(folder)
    await store.open()
    reason = "encrypted with another key|is encrypted; open"
    with pytest.raises(StoreError, match=reason) as caught:
        await store.load(ME)
    with pytest.raises(StoreError, match=reason):
        await store.save(ME, Secret("new"))
    await store.close()
    assert content(folder) == before
    assert OTHER_KEY not in str(caught.value)
    right = sealed(folder)
    await right.open()
    assert await loaded(right) == TEXT
    await right.close()


async def test_what_was_in_clear_is_taken_up_and_encrypted(folder: Path) -> None:
    await saved(plain(folder))
    store = sealed(folder)
    await store.open()
    assert await loaded(store) == TEXT
    await store.save(ME, Secret(TEXT))
    assert b"canary" not in content(folder)
    assert await loaded(store) == TEXT
    await store.close()


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:45], lambda b: b + b"a"])
async def test_a_damaged_file_is_refused(folder: Path, change: Callable[[bytes], bytes]) -> None:
    await saved(sealed(folder))
    path = folder / f"{ME}.session"
    write(path, change(path.read_bytes()))
    store = sealed(folder)
    await store.open()
    with pytest.raises(StoreError, match=f"material of account {ME} is damaged"):
        await store.load(ME)
    await store.close()


async def test_one_account_cannot_be_given_the_file_of_another(folder: Path) -> None:
    await saved(sealed(folder))
    (folder / f"{ME}.session").rename(folder / f"{OTHER}.session")
    store = sealed(folder)
    await store.open()
    with pytest.raises(StoreError, match="for another account"):
        await store.load(OTHER)
    await store.close()


async def test_the_key_comes_from_a_file_or_a_variable(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await saved(sealed(folder))
    key_file = write(tmp_path / "key", f"{KEY}\n".encode())
    monkeypatch.setenv("XYFAST_SECRETS_KEY", KEY)
    for store in (
        EncryptedSecretStore(folder, key_file=key_file),
        EncryptedSecretStore(folder),
        EncryptedSecretStore(folder, key=Secret(KEY)),
    ):
        await store.open()
        assert await loaded(store) == TEXT
        await store.close()


def open_key_file(path: Path) -> dict[str, object]:
    return {"key_file": write(path / "key", KEY.encode(), 0o644)}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (lambda path: {}, "variable XYFAST_SECRETS_KEY is not set"),
        (lambda path: {"key": "canary"}, r"key is not base64 of 32 bytes.*openssl rand -base64 32"),
        (lambda path: {"key": KEY[:-8]}, "key is not base64 of 32 bytes"),
        (lambda path: {"key": KEY, "key_file": path}, "not both"),
        (lambda path: {"key_file": path / "none"}, "key file .*none cannot be read: No such file"),
        (open_key_file, r"can be read by others \(mode 0644\); run: chmod 600"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(
    tmp_path: Path, options: Callable[[Path], dict[str, object]], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        EncryptedSecretStore(tmp_path / "secrets", **options(tmp_path))  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_without_cryptography_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match=r"pip install xyfast\[crypto\]"):
        sealed(folder)


# --- crashes ----------------------------------------------------------------------------------

# Saves twice, and is killed in the midst of the second time: at the call that is named.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from xyfast import EncryptedSecretStore, FileSecretStore, Secret
folder, kind, call = sys.argv[1:]
key = {key!r}
store = FileSecretStore(folder) if kind == "plain" else EncryptedSecretStore(folder, key=key)

async def main():
    await store.open()
    await store.save({me!r}, Secret("old"))
    def die(*args, **options):
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(os, call, die)
    await store.save({me!r}, Secret("new"))

asyncio.run(main())
"""


@pytest.mark.parametrize("call", ["fsync", "replace", "close"])
async def test_a_killed_process_leaves_what_was_or_what_was_to_be(
    make: Make, folder: Path, call: str
) -> None:
    script = KILLED.format(key=KEY, me=ME)
    command = [sys.executable, "-c", script, str(folder), make.__name__, call]
    ended = await asyncio.to_thread(subprocess.run, command, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(names(folder, "*.new")) == (0 if call == "close" else 1)
    store = make(folder)
    await store.open()
    assert await loaded(store) == ("new" if call == "close" else "old")
    assert names(folder, "*.new") == []
    await store.close()


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
async def test_a_save_that_fails_changes_nothing_and_the_next_one_works(
    store: SecretStore, folder: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.save(ME, Secret("old"))

    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "canary")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StoreError, match="failed: No space left on device") as caught:
            await store.save(ME, Secret("new"))
    assert "canary" not in str(caught.value)
    assert names(folder, "*.new") == []
    assert await loaded(store) == "old"
    await store.save(ME, Secret("new"))
    assert await loaded(store) == "new"


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Gives a file to another user, as far as the process can see."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, 54321, -1)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: 54321)

    return give


@pytest.mark.parametrize("which", ["folder", "file"])
async def test_what_belongs_to_another_user_is_refused(
    make: Make, folder: Path, another: Callable[[Path], None], which: str
) -> None:
    await saved(make(folder))
    path = folder if which == "folder" else folder / names(folder, "*.session")[0]
    store = make(folder)
    if which == "file":
        await store.open()
    another(path)
    with pytest.raises(StoreError, match=rf"{path.name} belongs to another user"):
        await (store.load(ME) if which == "file" else store.open())
    await store.close()


async def test_a_cancelled_close_lets_go_of_the_folder_all_the_same(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, begun, go = make(folder), threading.Event(), threading.Event()
    await store.open()
    [thread] = [each for each in threading.enumerate() if each.name.startswith("xyfast-secrets")]
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        begun.set()
        go.wait(60)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    saving = asyncio.create_task(store.save(ME, Secret("new")))
    await asyncio.to_thread(begun.wait, 60)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    go.set()
    await saving
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
    store = make(folder)
    await store.open()
    assert await loaded(store) == "new"
    await store.close()


FORKED = """
import asyncio, os, sys
from xyfast import FileSecretStore, Secret, StoreError
store = FileSecretStore(sys.argv[1])

async def child():
    for refused in (store.load("1"), store.save("1", Secret("of the child")), store.open()):
        try:
            await asyncio.wait_for(refused, 5)
        except StoreError as error:
            print(error)
    await store.close()

asyncio.run(store.open())
asyncio.run(store.save("1", Secret("of the parent")))
if os.fork() == 0:
    asyncio.run(child())
    sys.exit()
assert os.wait()[1] == 0
print(asyncio.run(store.load("1")).reveal())
asyncio.run(store.close())
"""


async def test_a_forked_child_is_refused_and_leaves_the_folder_to_its_parent(folder: Path) -> None:
    command = [sys.executable, "-c", FORKED, str(folder)]
    done = await asyncio.to_thread(
        subprocess.run, command, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("was opened before a fork: it is its parent's") == 2
    assert done.stdout.count("is open already") == 1
    assert done.stdout.endswith("of the parent\n")
