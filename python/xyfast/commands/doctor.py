"""``xyfast doctor``: whether a bot can run here, and what to do if it cannot."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

from xyfast import __version__, _core, requests
from xyfast._core import Closed
from xyfast.account import DEFAULT_USER_AGENT
from xyfast.commands import checks
from xyfast.commands.checks import Finding
from xyfast.commands.shared import Commands, add_command, add_config, add_json, config_of, redacted
from xyfast.config import Settings
from xyfast.configfile import Config
from xyfast.errors import ConfigError, StoreError, TokenError
from xyfast.events import Dial
from xyfast.secret import reveal
from xyfast.store import SqliteStore
from xyfast.store.lock import Lock
from xyfast.transport import LinkEvent, RustTransport, read_roots
from xyfast.troubles import docs_page

__all__ = ["add_parser"]

_MIB = 1024**2
_LEAST_DISK = 64 * _MIB
_OTHER_FILES = 64  # descriptors of a process beside those of its links
_LATE, _TOO_LATE = 5.0, 60.0  # seconds by which the clock may be wrong: told, and a failure
_ONCE = Dial(link=1, heartbeat=15.0, timeout=30.0, misses=3)
_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")

_PLACE = (
    "see that the address is right and the server answers there: the login page of a network, or a "
    "company's proxy that lets no WebSocket through, may answer in its place"
)
_CURES = {
    "network": "see that the address is right and no firewall is in the way; behind a proxy set "
    "settings.proxy",
    "name": "ask the resolver: getent hosts {name}; in a container look at /etc/resolv.conf; "
    f"behind a proxy set settings.proxy: it resolves names itself ({docs_page('faults/dns')})",
    "untrusted": "a company's proxy that opens TLS has an authority of its own: name its "
    "certificate in settings.roots; if there is none, do not trust this network; a clock that is "
    f"wrong makes certificates expire ({docs_page('faults/tls')})",
    "proxy": f"see that the proxy runs and lets this server through ({docs_page('faults/proxy')})",
    "proxy-refused": "see that its scheme and port are right, that user and password are those it "
    f"wants, and that it allows this server ({docs_page('faults/proxy')})",
    "refused": _PLACE,
    "protocol": _PLACE,
    "exhausted": "let the process have more descriptors: ulimit -n 8192",
}
_UNRESOLVED = re.compile(r"^(\S+) (?:cannot be resolved|was not resolved|has no address)")


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "doctor",
        _run,
        help="whether a bot can run here, and what to do if not",
        description="Look at this machine, the configuration, the accounts' cookies, the stores, "
        "the way to the server and the clock. Each way a WebSocket is opened and closed, and the "
        "token address called, once and without cookies. Exit code 0: nothing failed, 1: something "
        "did.",
    )
    add_config(parser)
    add_json(parser)


def _run(options: argparse.Namespace) -> int:
    levels = []

    def told(findings: Iterator[Finding]) -> Iterator[Finding]:
        for each in findings:
            levels.append(each.level)
            yield each

    checks.show(told(_findings(options)), json=options.json)
    if not options.json:
        print(f"\nfailed: {levels.count('failed')}, warnings: {levels.count('warning')}")
    return int("failed" in levels)


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    yield from _machine()
    try:
        config = config_of(options)
    except ConfigError as error:
        for line in str(error).splitlines():
            yield Finding("config", "failed", line, f"see {docs_page('howto/configure')}")
        return
    yield from checks.file(config)
    yield from checks.accounts(config)
    yield from checks.secrets(config)
    yield from _descriptors(len(config.tables))
    yield from _store(config)
    yield from _disk(config)
    yield from _proxies(config, os.environ)
    yield from _network(config)


# --- this machine -----------------------------------------------------------------------


def _machine() -> Iterator[Finding]:
    text = (
        f"xyfast {__version__} ({_core.build_profile}, {_core.simd}) on "
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}"
    )
    if sys.platform not in ("linux", "darwin"):
        yield Finding("machine", "failed", text, "use Linux or macOS: others are not tested")
    elif _core.build_profile == "debug":
        yield Finding("machine", "warning", text, "this is a slow build: install a wheel")
    else:
        yield Finding("machine", "ok", text)


def _descriptors(accounts: int) -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= accounts + _OTHER_FILES:
        return
    yield Finding(
        "machine",
        "failed",
        f"a process may have {soft} descriptors open: too few for {accounts} accounts",
        f"ulimit -n {accounts + 1024}, or LimitNOFILE= of a systemd unit",
    )


# --- the store --------------------------------------------------------------------------


def _store(config: Config) -> Iterator[Finding]:
    path = config.store
    if wrong := list(checks.folder(config)):
        yield from wrong
        return
    if not path.exists():
        yield Finding("store", "ok", f"{path}: is not there yet, and will be made")
        return
    yield from checks.private("store", path)
    in_use = ", in use by a bot that runs" if _is_locked(path) else ""
    try:
        asyncio.run(_open(path))
    except StoreError as error:
        yield Finding("store", "failed", str(error))  # which says what to do
    else:
        yield Finding("store", "ok", f"{path}: {path.stat().st_size / _MIB:.1f} MiB{in_use}")


def _is_locked(path: Path) -> bool:
    name = f"{os.path.realpath(path)}.lock"
    if not os.path.exists(name):
        return False
    try:
        Lock(name).release()
    except BlockingIOError:
        return True
    except OSError:
        return False  # another user's: the folder and the file say more
    return False


async def _open(path: Path) -> None:
    store = SqliteStore(path, shared=True)
    await store.open()
    await store.close()


def _disk(config: Config) -> Iterator[Finding]:
    folder = config.store.parent
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    used = os.path.getsize(config.store) if os.path.exists(config.store) else 0
    most = config.retention.max_bytes
    text = f"{free // _MIB} MiB are free at {folder}"
    if free < _LEAST_DISK:
        yield Finding("disk", "failed", text, "make room: what cannot be stored is not received")
    elif free < most - used:
        yield Finding(
            "disk",
            "warning",
            f"{text}; the store may grow to {most // _MIB} MiB",
            "make room, or lower retention.max_bytes",
        )
    else:
        yield Finding("disk", "ok", text)


# --- the way to the server --------------------------------------------------------------


def _proxies(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    names = [name for name in _PROXY_VARIABLES if environ.get(name)]
    if names and config.settings.proxy is None:
        yield Finding(
            "proxy",
            "warning",
            f"{names[0]} is set, and not read: it would say where all accounts go",
            f'if they are to go there: XYFAST_PROXY="${names[0]}", or settings.proxy',
        )


def _network(config: Config) -> Iterator[Finding]:
    settings = config.settings
    try:
        roots = read_roots(settings)
    except ConfigError as error:
        yield Finding("roots", "failed", str(error), "give the path of a PEM file")
        return
    if roots is not None:
        yield Finding("roots", "ok", f"{settings.roots}: is trusted beside the system's")
    for proxy in _ways(config):
        yield _shake_hands(settings, proxy)
        yield from _call(settings, roots, proxy)


def _ways(config: Config) -> list[str | None]:
    """The proxies through which accounts go, None for none."""
    general = reveal(config.settings.proxy)
    try:
        proxies = [account.proxy_or(general) for account in config.accounts()]
    except ConfigError:  # which was told
        proxies = []
    return list(dict.fromkeys(proxies or [general]))


def _shake_hands(settings: Settings, proxy: str | None) -> Finding:
    """Open a WebSocket as links do, and close it: no account is named."""
    where, before = _where(settings.url, proxy), time.monotonic()
    try:
        closed = asyncio.run(_handshake(settings, proxy))
    except ConfigError as error:
        return Finding("links", "failed", f"{where}: {error}", _cure("proxy", str(error)))
    if closed.trouble != "closed":
        cure = _cure(closed.trouble, closed.reason)
        return Finding("links", "failed", f"{where}: {closed.reason}", cure)
    took = time.monotonic() - before
    return Finding("links", "ok", f"{where}: opens, and closes, in {took * 1000:.0f} ms")


async def _handshake(settings: Settings, proxy: str | None) -> Closed:
    transport = RustTransport(settings)
    ended: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()

    def tell(events: Sequence[LinkEvent]) -> None:
        for event in events:
            if isinstance(event, Closed):
                ended.set_result(event)

    transport.start(tell)
    try:
        transport.dial(_ONCE, requests.handshake(DEFAULT_USER_AGENT), None, proxy)
        return await ended
    finally:
        transport.stop()


def _call(settings: Settings, roots: str | None, proxy: str | None) -> Iterator[Finding]:
    """Call the token address as token calls do; any answer to that is good."""
    where, before = _where(settings.token_url, proxy), time.time()
    try:
        _, headers, _ = _core.post(
            settings.token_url,
            headers=[],
            body=b"",
            timeout=settings.token_timeout,
            allow_plain=settings.allow_plain,
            roots=roots,
            proxy=proxy,
        )
    except (TokenError, ConfigError) as error:
        trouble = error.code if isinstance(error, TokenError) else "proxy"
        cure = _cure(trouble, str(error))
        yield Finding("tokens", "failed", f"{where}: {error}", cure)
        return
    after = time.time()
    yield Finding("tokens", "ok", f"{where}: answers in {(after - before) * 1000:.0f} ms")
    yield _clock(headers, before, after)


def _where(url: str, proxy: str | None) -> str:
    return url if proxy is None else f"{url} through {redacted(proxy)}"


def _cure(trouble: str, reason: str) -> str:
    """What to do about a trouble of `Closed.trouble`."""
    if trouble == "network" and (found := _UNRESOLVED.search(reason)):
        return _CURES["name"].format(name=found[1])
    return _CURES.get(trouble, f"see {docs_page('reference/errors')}")


def _clock(headers: list[tuple[str, str]], before: float, after: float) -> Finding:
    """Compare this machine's clock with the server's, which is told in whole seconds."""
    dates = [value for name, value in headers if name.lower() == "date"]
    try:
        date = parsedate_to_datetime(dates[0]).timestamp()
    except (IndexError, TypeError, ValueError):
        return Finding(
            "clock", "warning", "the server does not tell the time", "see that NTP is on"
        )
    wrong = before - (date + 1) if before > date + 1 else min(after - date, 0.0)
    if abs(wrong) < _LATE:
        return Finding("clock", "ok", "is right to within some seconds")
    ahead = "ahead of" if wrong > 0 else "behind"
    return Finding(
        "clock",
        "failed" if abs(wrong) >= _TOO_LATE else "warning",
        f"is {abs(wrong):.0f} s {ahead} the server's: calls are signed with the time",
        "switch on NTP, for example: timedatectl set-ntp true",
    )
