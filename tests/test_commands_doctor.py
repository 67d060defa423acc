"""``xyfast doctor`` on real stores, files and servers, each with something wrong."""

from __future__ import annotations

import asyncio
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inboxes import Run, like_others, with_store
from world import ME, OTHER, ThreadedServer
from xyfast import SqliteStore, StoreError
from xyfast.commands import doctor

ROOT = Path(__file__).parent.parent


class Place:
    """A folder whose configuration is right, and a server; the tests spoil them."""

    def __init__(self, run: Run, threaded: ThreadedServer) -> None:
        self.run, self.threaded = run, threaded
        self.url, self.token_url = threaded.server.url, threaded.server.token_url
        self.accounts = ""
        for account in (ME, OTHER):
            name = f"{account}.cookies"
            Path(name).write_text(threaded.server.cookies(account), "utf-8")
            Path(name).chmod(0o600)
            self.accounts += f'[[accounts]]\ncookies_file = "{name}"\n'

    def write(self, settings: str = "", more: str = "", store: str = "xyfast.db") -> None:
        text = (
            f'store = "{store}"\n[settings]\nurl = "{self.url}"\ntoken_url = "{self.token_url}"\n'
        )
        Path("xyfast.toml").write_text(f"{text}{settings}\n{more}\n{self.accounts}", "utf-8")
        Path("xyfast.toml").chmod(0o600)

    def found(self) -> list[dict[str, Any]]:
        """What is not well; the exit code must fit to it."""
        shown = self.run("doctor", "--json")
        assert shown.err == ""
        bad = [each for each in shown.objects if each["level"] != "ok"]
        assert shown.code == int(any(each["level"] == "failed" for each in bad))
        assert all((each["level"] == "ok") == (each["cure"] is None) for each in shown.objects)
        return bad

    def finds(self, about: str, level: str, words: str, cure: str) -> None:
        """That this and nothing else is not well."""
        [each] = self.found()
        assert (each["about"], each["level"]) == (about, level)
        assert words in each["text"]
        assert cure in each["cure"]


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Where something reads the head of a request, answers so and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        host, port = server.server_address[:2]
        yield f"{host!s}:{port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, threaded_server: ThreadedServer
) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    for name in (*doctor._PROXY_VARIABLES, "XYFAST_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor._core, "build_profile", "release")
    place = Place(run, threaded_server)
    place.write()
    return place


def test_where_all_is_well_nothing_fails(place: Place) -> None:
    with_store(Path("xyfast.db"), lambda store: store.save_session(ME, "{}"))
    shown = place.run("doctor", "--json")
    assert (shown.code, shown.err) == (0, "")
    assert [(each["about"], each["level"]) for each in shown.objects] == [
        (about, "ok")
        for about in (
            *("machine", "config", "accounts", "accounts", "store", "disk"),
            *("links", "tokens", "clock"),
        )
    ]
    text = place.run("doctor").out
    assert re.search(rf"links       {place.url}: opens, and closes, in \d+ ms\n", text)
    assert text.endswith("\nfailed: 0, warnings: 0\n")
    ledger = place.threaded.server.ledger(ME)
    assert not ledger.registrations
    assert not ledger.calls


def test_a_wrong_configuration_is_a_finding(place: Place) -> None:
    place.write("hartbeat = 1")
    place.finds(
        "config",
        "failed",
        "did you mean `settings.heartbeat`?",
        "the page howto/configure of the documentation",
    )


def test_cookies_that_are_missing_are_a_finding(place: Place) -> None:
    Path(f"{ME}.cookies").write_text(f"unb={ME}; cookie2=a; sgcookie=a; _m_h5_tk=a_1", "utf-8")
    place.finds("accounts", "warning", "no `_m_h5_tk_enc`", "network tools")
    Path(f"{ME}.cookies").unlink()
    place.finds("accounts", "failed", f"{ME}.cookies`: cannot be read: No such", "howto/configure")


# --- the store --------------------------------------------------------------------------


def test_a_store_without_a_folder(place: Place) -> None:
    place.write(store="none/x.db")
    place.finds("store", "failed", "the folder none is not there", "mkdir -p none")


def test_a_folder_that_may_not_be_written_to(place: Place) -> None:
    Path("fixed").mkdir(0o500)
    place.write(store="fixed/x.db")
    code, found, errors = like_others("doctor", "--json")
    [store] = [each for each in found if each["about"] == "store"]
    assert (code, store["level"], errors) == (1, "failed", "")
    assert "the folder fixed may not be written to" in store["text"]
    assert "chmod u+wx fixed" in store["cure"]


def test_a_folder_that_may_not_be_looked_into(place: Place) -> None:
    Path("locked").mkdir()
    for name in ("x.db", "bot.py"):
        Path("locked", name).touch()
    place.write(store="locked/x.db")
    Path("locked").chmod(0)
    code, found, errors = like_others("doctor", "--json")
    assert (code, errors) == (1, "")
    assert [each["about"] for each in found if each["level"] == "failed"] == ["store"]
    for command, reason in (
        (["accounts"], "accounts: the store locked/x.db cannot be read (Permission denied): name"),
        (["run", "locked/bot.py"], "run: locked/bot.py is no Python file that can be read"),
        (["bench"], "bench: the folder of the store, locked, is not there, or may"),
    ):
        code, _, errors = like_others(*command)
        assert (code, len(errors.splitlines())) == (2, 1)
        assert errors.startswith(f"xyfast {reason}")
    Path("locked").chmod(0o700)


def test_a_store_that_is_none(place: Place) -> None:
    Path("xyfast.db").write_bytes(b"no database, but long enough to be taken for one" * 99)
    Path("xyfast.db").chmod(0o600)
    shown = place.run("doctor", "--json")
    [each] = [each for each in shown.objects if each["level"] == "failed"]
    assert (shown.code, each["about"]) == (1, "store")
    assert "cannot be read (file is not a database); keep a copy" in each["text"]


def test_a_store_that_others_may_read(place: Place) -> None:
    with_store(Path("xyfast.db"), lambda store: store.save_session(ME, "{}"))
    Path("xyfast.db").chmod(0o644)
    place.finds("store", "warning", "xyfast.db has mode 0644", "chmod 600 xyfast.db")


def test_beside_a_bot_that_runs(place: Place) -> None:
    owner = SqliteStore("xyfast.db")
    asyncio.run(owner.open())
    try:
        shown = place.run("doctor", "--json")
        [store] = [each for each in shown.objects if each["about"] == "store"]
        assert (shown.code, store["level"]) == (0, "ok")
        assert store["text"].endswith(" MiB, in use by a bot that runs")
        with pytest.raises(StoreError, match="in use"):  # it did not take the lock away
            asyncio.run(SqliteStore("xyfast.db").open())
    finally:
        asyncio.run(owner.close())
    assert "in use" not in place.run("doctor").out


def test_a_disk_that_is_too_small(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(more="[retention]\nmax_bytes = 9_000_000_000_000_000")
    place.finds("disk", "warning", "the store may grow to", "lower retention.max_bytes")
    monkeypatch.setattr(doctor, "_LEAST_DISK", 1 << 60)
    place.finds("disk", "failed", " MiB are free at .", "make room")


# --- this machine -----------------------------------------------------------------------


def test_too_few_descriptors(place: Place) -> None:
    command = f"ulimit -n 65; exec {sys.executable} -m xyfast doctor"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "65 descriptors open: too few for 2 accounts" in done.stdout


# --- the way to the server --------------------------------------------------------------


def test_a_server_that_is_not_there(place: Place) -> None:
    place.threaded.call(place.threaded.server.down)
    links, tokens = place.found()
    assert links["text"] == f"{place.url}: connection refused"
    assert tokens["text"] == f"{place.token_url}: connection refused"
    assert "firewall" in links["cure"]
    place.threaded.call(place.threaded.server.up)


def test_a_server_whose_tls_cannot_be_trusted(place: Place) -> None:
    place.token_url = place.token_url.replace("http://", "https://")
    place.write()
    place.finds("tokens", "failed", "TLS: the server speaks no TLS", "settings.roots")


def test_a_link_whose_tls_cannot_be_trusted(place: Place) -> None:
    place.url = place.token_url.replace("http://", "wss://")
    place.write()
    place.finds("links", "failed", "TLS: the server speaks no TLS", "settings.roots")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the handshake was answered with 403 Forbidden"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>log in</html>", "the handshake was answered with 200"),
        (b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", "the answer has no"),
        (b"SSH-2.0-x\r\n\r\n", "handshake: the answer is no HTTP"),
    ],
)
def test_what_answers_in_place_of_the_server(reply: bytes, words: str, place: Place) -> None:
    with answering(reply) as where:
        place.url = f"ws://{where}/"
        place.write()
        place.finds("links", "failed", words, "login page of a network")


def test_a_server_that_hangs_up_or_never_answers(place: Place) -> None:
    with answering(b"") as where:
        place.url = f"ws://{where}/"
        place.write()
        place.finds("links", "failed", "hung up during the handshake", "firewall")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # which accepts nobody
        place.url = f"ws://127.0.0.1:{silent.getsockname()[1]}/"
        place.write("open_timeout = 0.05")
        place.finds("links", "failed", "did not answer the handshake in time", "firewall")


def test_a_name_that_is_not_resolved(place: Place) -> None:
    place.url, place.token_url = "ws://nobody..invalid/", "http://nobody..invalid/"
    place.write("allow_plain = true")
    for each in place.found():
        assert "nobody..invalid cannot be resolved" in each["text"]
        assert each["cure"].startswith("ask the resolver: getent hosts nobody..invalid; ")


def test_roots_that_are_not_there(place: Place) -> None:
    place.write('roots = "none.pem"')
    place.finds("roots", "failed", "'none.pem' cannot be read", "PEM file")


def test_a_proxy_that_is_not_there_is_told_without_its_login(place: Place) -> None:
    place.write('proxy = "http://user:synthetic-secret@127.0.0.1:9"')
    links, tokens = place.found()
    assert f"{place.url} through http://<secret>@127.0.0.1:9: " in links["text"]
    assert "see that the proxy runs" in tokens["cure"]
    assert "synthetic-secret" not in place.run("doctor").out


@pytest.mark.parametrize(
    ("reply", "words", "cure"),
    [
        (b"", "proxy: ", "see that the proxy runs"),
        (b"no proxy\r\n\r\n", "proxy: the answer is no HTTP", "see that its scheme and port"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway", "see that the proxy runs"),
        (
            b"HTTP/1.1 407 x\r\n\r\n",
            "does not accept the user or the password",
            "user and password",
        ),
    ],
)
def test_a_proxy_that_is_broken(reply: bytes, words: str, cure: str, place: Place) -> None:
    with answering(reply) as where:
        place.write(f'proxy = "http://user:synthetic-secret@{where}"')
        links, tokens = place.found()
        assert (links["about"], tokens["about"]) == ("links", "tokens")
        for each in (links, tokens):
            assert f"through http://<secret>@{where}: " in each["text"]
            assert words in each["text"]
            assert cure in each["cure"]
            assert "synthetic-secret" not in str(each)


def test_each_way_of_an_account_is_tried(place: Place) -> None:
    place.accounts += 'proxy = "socks5://127.0.0.1:9"\n'
    place.write()
    assert [each["about"] for each in place.found()] == ["links", "tokens"]
    place.accounts = place.accounts.replace("socks5://127.0.0.1:9", "direct")
    place.write('proxy = "http://127.0.0.1:9"')  # of the other account alone
    assert [each["about"] for each in place.found()] == ["links", "tokens"]
    shown = [each["text"] for each in place.run("doctor", "--json").objects]
    assert any(text.startswith(f"{place.url}: opens") for text in shown)


def test_a_variable_that_is_not_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:synthetic-secret@127.0.0.1:9")
    place.finds("proxy", "warning", "HTTPS_PROXY is set, and not read", "XYFAST_PROXY=")
    assert "synthetic-secret" not in place.run("doctor").out
    place.write('proxy = "http://127.0.0.1:9"')
    assert {each["about"] for each in place.found()} == {"links", "tokens"}


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (3, "ok", ""),
        (-3, "ok", ""),
        (30, "warning", r"is (29|30) s behind the server's"),
        (-30, "warning", r"is (29|30) s ahead of the server's"),
        (3600, "failed", r"is (3599|3600) s behind the server's"),
        (-3600, "failed", r"is (3599|3600) s ahead of the server's"),
    ],
)
def test_a_clock_that_is_wrong(
    ahead: int, level: str, words: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor._core, "build_profile", "release")
    threaded = ThreadedServer(ME, OTHER, clock=lambda: int((time.time() + ahead) * 1000))
    try:
        place = Place(run, threaded)
        place.write()
        bad = place.found()
        assert [each["level"] for each in bad] == ([] if level == "ok" else [level])
        for each in bad:
            assert re.match(words, each["text"])
            assert "NTP" in each["cure"]
    finally:
        threaded.close()


# --- the page ---------------------------------------------------------------------------


def test_the_page_shows_what_is_printed(place: Place) -> None:
    text = (ROOT / "docs" / "howto" / "doctor.md").read_text("utf-8")
    [session] = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    with_store(Path("xyfast.db"), lambda store: store.save_session(ME, "{}"))
    Path("xyfast.db").chmod(0o644)
    place.accounts = f'[[accounts]]\ncookies_file = "{ME}.cookies"\nname = "shop"\n'
    place.write()
    threaded = ThreadedServer(ME, clock=lambda: int((time.time() - 3600.5) * 1000))
    place.token_url = threaded.server.token_url
    place.write()
    out = place.run("doctor").out
    threaded.close()

    def plain(shown: str) -> list[str]:
        shown = re.sub(r"wss?://\S+:|https?://\S+:", "URL:", shown)
        shown = re.sub(r"\(\w+.*?, \w+\) on .*", "MACHINE", shown)
        return re.sub(r"\b(\d+ ms|\d+ MiB|\d\.\d MiB|\d+ s)\b", "N", shown).splitlines()

    assert plain(out) == plain(session.removeprefix("$ xyfast doctor\n"))
