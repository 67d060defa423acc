"""Where session material is kept, as a file and variables say it, and what commands say of it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

import pytest

from bot_files import CLIENT, ROUTER, Place
from inboxes import Run, like_others
from stores import ME
from xyfast import (
    Config,
    ConfigError,
    EncryptedSecretStore,
    FileSecretStore,
    Secret,
    Secrets,
    redact,
)
from xyfast.commands import doctor

KEY = "c3ludGhldGljLXN5bnRoZXRpYy1zeW50aGV0aWMtMSE="
OTHER_KEY = "b3RoZXItc3ludGhldGljLXN5bnRoZXRpYy1rZXktMiE="
ENCRYPTED = '[secrets]\nstore = "encrypted"\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XYFAST_SECRETS_KEY", raising=False)
    return tmp_path


def write(text: str, name: str = "xyfast.toml", mode: int = 0o600) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def load(text: str, **environ: str) -> Config:
    return Config.load(write(text), environ=environ)


async def saved(store: FileSecretStore | None, text: str = "canary") -> bytes:
    """What the file of an account has after its material was saved."""
    assert store is not None
    await store.open()
    await store.save(ME, Secret(text))
    await store.close()
    return (store._path / f"{ME}.session").read_bytes()


# --- the file and the variables ---------------------------------------------------------


def test_secrets_stay_in_the_store_if_nothing_is_said() -> None:
    config = load("")
    assert (config.secrets, config.make_secrets()) == (Secrets(), None)


async def test_plain_files_are_kept_beside_the_configuration() -> None:
    path = write('[secrets]\nstore = "plain"\npath = "kept"\n', "conf/xyfast.toml")
    config = Config.load(path, environ={})
    assert b"canary" in await saved(config.make_secrets())
    assert config.secrets.path == "conf/kept"
    assert config.origins["secrets.path"] == "conf/xyfast.toml: `secrets.path`"


@pytest.mark.parametrize("where", ["variable", "file", "variable that names the file"])
async def test_the_key_comes_from_a_variable_or_a_file(where: str) -> None:
    write(f"{KEY}\n", "conf/secrets.key")
    if where == "variable":
        config = load(ENCRYPTED, XYFAST_SECRETS_KEY=KEY)
    elif where == "file":
        config = load(f'{ENCRYPTED}key_file = "conf/secrets.key"\n')
    else:
        config = load(ENCRYPTED, XYFAST_SECRETS_KEY_FILE="conf/secrets.key")
    assert b"canary" not in await saved(config.make_secrets())
    store = EncryptedSecretStore("secrets", key=KEY)
    await store.open()
    assert await store.load(ME) == Secret("canary")
    await store.close()


def test_the_key_of_a_file_is_known_to_the_log() -> None:
    write(f"{KEY}\n", "secrets.key")
    store = load(f'{ENCRYPTED}key_file = "secrets.key"\n').make_secrets()
    assert redact(f"the key {KEY} is") == "the key <secret> is"
    assert KEY not in repr(vars(store))


async def test_variables_are_stronger() -> None:
    environ = {"XYFAST_SECRETS_STORE": "plain", "XYFAST_SECRETS_PATH": "other"}
    config = load(ENCRYPTED, **environ)
    assert config.secrets == Secrets(store="plain", path="other")
    assert load(ENCRYPTED, XYFAST_SECRETS_STORE="").make_secrets() is None


@pytest.mark.parametrize(
    ("text", "environ", "complaint"),
    [
        ("store = 'vault'", {}, "`secrets.store`: Secrets.store must be plain or encrypted"),
        ("store = 5", {}, "`secrets.store` must be a string"),
        (f"key = '{KEY}'", {}, "unknown key `secrets.key`; did you mean `secrets.key_file`?"),
        ("path = 'a'", {}, "`secrets.path`: has no effect without `secrets.store`"),
        ("store = 'plain'\npath = ''", {}, "`secrets.path`: path is empty"),
        ("key_file = 'a'", {}, "`secrets.key_file`: Secrets.key_file is for the store"),
        (
            "store = 'encrypted'\nkey_file = 'a'",
            {"XYFAST_SECRETS_KEY": KEY},
            "`secrets.key_file`, XYFAST_SECRETS_KEY: both give the key",
        ),
        ("", {"XYFAST_SECRETS_PTH": "a"}, "did you mean `XYFAST_SECRETS_PATH`?"),
        ("", {"XYFAST_SECRET_KEY": KEY}, "did you mean `XYFAST_SECRETS_KEY`?"),
        ("", {"XYFAST_SECRETS_STORE": KEY}, "XYFAST_SECRETS_STORE: Secrets.store must be"),
        *(
            (f"store = 'encrypted'\nkey_file = '{before}{KEY}'", {}, "must be the name of a file")
            for before in ("", "a/")
        ),
        (ENCRYPTED[10:], {"XYFAST_SECRETS_KEY_FILE": KEY}, "must be the name of a file"),
    ],
)
def test_what_is_wrong_is_refused_and_the_key_is_not_shown(
    text: str, environ: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[secrets]\n{text}\n", **environ)
    assert complaint in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({}, "the variable XYFAST_SECRETS_KEY is not set"),
        ({"XYFAST_SECRETS_KEY": ""}, "the variable XYFAST_SECRETS_KEY is not set"),
        ({"XYFAST_SECRETS_KEY": KEY[:-5]}, "the variable XYFAST_SECRETS_KEY is not base64 of 32"),
        ({"XYFAST_SECRETS_KEY_FILE": "none"}, "the key file none cannot be read: No such file"),
        ({"XYFAST_SECRETS_KEY_FILE": "loose"}, "loose can be read by others (mode 0644)"),
        ({"XYFAST_SECRETS_KEY_FILE": "bad"}, "the file bad is not base64 of 32 bytes"),
    ],
)
def test_a_key_that_cannot_be_had(
    environ: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XYFAST_SECRETS_KEY", OTHER_KEY)  # which is not in the given environ
    write(KEY, "loose", 0o644)
    write("short", "bad")
    config = load(ENCRYPTED, **environ)
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        config.make_secrets()


# --- what the commands say --------------------------------------------------------------


def test_the_key_is_named_and_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XYFAST_SECRETS_KEY", KEY)
    write(f"{ENCRYPTED}path = 'kept'\n")
    shown = run("config", "show", "--json")
    values = {each["name"]: (each["value"], each["from"]) for each in shown.objects}
    assert values["secrets.store"] == ("encrypted", "xyfast.toml: `secrets.store`")
    assert values["secrets.path"] == ("kept", "xyfast.toml: `secrets.path`")
    assert values["secrets.key"] == ("<secret>", "XYFAST_SECRETS_KEY")
    assert KEY not in shown.out + run("config", "show").out


def said(run: Run, *command: str) -> list[tuple[str, str]]:
    """What a command finds of secrets: how it is, and the words."""
    shown = run(*command, "--json")
    assert KEY not in shown.out + shown.err
    found = [each for each in shown.objects if each["about"] == "secrets"]
    assert all((each["level"] == "ok") == (each["cure"] is None) for each in found)
    return [(each["level"], each["text"]) for each in found]


@pytest.mark.parametrize("command", [("config", "check"), ("doctor",)])
def test_the_commands_look_at_what_is_kept_and_change_nothing(
    command: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_network", lambda config: iter(()))
    write("")
    assert said(run, *command) == []
    monkeypatch.setenv("XYFAST_SECRETS_KEY", KEY)
    [(level, words)] = said(run, *command)
    assert (level, words.partition(":")[0]) == (
        "warning",
        "XYFAST_SECRETS_KEY is set, and has no effect",
    )
    write(ENCRYPTED)
    assert said(run, *command) == [
        ("ok", "secrets: is not there yet, and will be made (encrypted)")
    ]
    assert not Path("secrets").exists()
    store = EncryptedSecretStore("secrets")
    asyncio.run(store.open())
    asyncio.run(store.save(ME, Secret("canary")))
    # Also while a bot has it.
    assert said(run, *command) == [("ok", "secrets: of 1 accounts, encrypted")]
    asyncio.run(store.close())
    before = {path.name: path.read_bytes() for path in Path("secrets").iterdir()}
    monkeypatch.setenv("XYFAST_SECRETS_KEY", OTHER_KEY)
    [(level, words)] = said(run, *command)
    assert level == "failed"
    assert "was encrypted with another key" in words
    monkeypatch.delenv("XYFAST_SECRETS_KEY")
    assert said(run, *command)[0][1].startswith("the variable XYFAST_SECRETS_KEY is not set")
    write('[secrets]\nstore = "plain"\n')
    assert "is encrypted; open its folder with" in said(run, *command)[0][1]
    assert {path.name: path.read_bytes() for path in Path("secrets").iterdir()} == before


def test_a_folder_and_files_that_others_may_use(run: Run) -> None:
    write('[secrets]\nstore = "plain"\n')
    asyncio.run(saved(FileSecretStore("secrets")))
    assert said(run, "config", "check") == [("ok", "secrets: of 1 accounts, in clear")]
    Path(f"secrets/{ME}.session").chmod(0o640)
    assert "can be read by others (mode 0640)" in said(run, "config", "check")[0][1]
    Path(f"secrets/{ME}.session").unlink()
    Path("secrets").chmod(0o777)
    assert "run: chmod 700 secrets" in said(run, "config", "check")[0][1]
    Path("secrets").chmod(0o700)
    Path("secrets/lock").unlink()
    Path("secrets").rmdir()
    write("", "secrets")
    assert "secrets failed: Not a directory" in said(run, "config", "check")[0][1]


def test_a_folder_that_may_not_be_written_to() -> None:
    write('[secrets]\nstore = "plain"\n')
    Path("secrets").mkdir(0o500)
    code, found, _ = like_others("config", "check", "--json")
    [secrets] = [each for each in found if each["about"] == "secrets"]
    assert (code, secrets["level"]) == (2, "failed")
    assert secrets["text"] == "the folder secrets may not be written to"


# --- bots -------------------------------------------------------------------------------

MAKER = CLIENT.replace("client = Client()", "").replace("@client", "").replace(".on(ChatM", "# ")
MAKE = """
def make_client(config):
    client = Client(store=config.make_store(), settings=config.settings{})
    client.on(ChatMessage)(answer)
    return client
"""
BOTS = {"a router": ROUTER, "a maker": MAKER + MAKE.format(", secrets=config.make_secrets()")}


@pytest.mark.parametrize("bot", BOTS)
async def test_a_bot_keeps_its_secrets_where_the_configuration_says(bot: str, place: Place) -> None:
    place.configure(ENCRYPTED)
    place.write("bot.py", BOTS[bot])
    devices = set()
    for text in ("a", "b"):
        async with place.ran("bot.py", XYFAST_SECRETS_KEY=KEY) as ran:
            await place.answers(text, f"WORD {text}")
            assert await ran.end(number=signal.SIGTERM) == 0
        devices.add(place.server.ledger(ME).registrations[-1].device_id)
    assert len(devices) == 1
    store = EncryptedSecretStore("secrets", key=KEY)
    await store.open()
    material = await store.load(ME)
    await store.close()
    assert material is not None
    assert json.loads(material.reveal())["device_id"] in devices
    kept = b"".join(path.read_bytes() for path in place.folder.glob("xyfast.db*"))
    assert not any(device.encode() in kept for device in devices)


async def test_a_bot_without_the_key_does_not_start(place: Place) -> None:
    place.configure(ENCRYPTED)
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py") as ran:
        assert await ran.end() == 2
    assert "the variable XYFAST_SECRETS_KEY is not set" in ran.err
    assert not (place.folder / "secrets").exists()


@pytest.mark.parametrize("bot", [MAKER + MAKE.format(""), CLIENT], ids=["a maker", "a client"])
async def test_a_bot_that_leaves_secrets_in_clear_is_refused(bot: str, place: Place) -> None:
    place.configure(ENCRYPTED)
    place.write("bot.py", bot)
    async with place.ran("bot.py", XYFAST_SECRETS_KEY=KEY) as ran:
        assert await ran.end() == 2
    assert "keeps session material in clear, and xyfast.toml: `secrets.store` wants it" in ran.err
    assert "give the Client secrets=config.make_secrets(), in a `make_client(config)`" in ran.err
    assert not (place.folder / "xyfast.db").exists()
