"""``xyfast run --dev``: a bot in a process of its own, stopped and started when code changes."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from xyfast.commands.shared import complain
from xyfast.configfile import DEFAULT_FILE
from xyfast.errors import ConfigError
from xyfast.tables import ACCOUNTS, read_config

__all__ = ["supervise"]

_LOOK = 0.2  # seconds between two looks at the files

Stamps = dict[Path, tuple[int, int]]  # time of the last change, and size


def supervise(options: argparse.Namespace) -> int:
    """Run the bot until a signal, or until it ends well by itself; its exit code.

    A bot that ends otherwise is started again when something has changed. Its store stays, so
    what was received meanwhile is handled by the next one.
    """
    return _Supervisor(options).run()


class _Supervisor:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        config = options.config or os.environ.get("XYFAST_CONFIG") or DEFAULT_FILE
        self._config = Path(config)
        self._cookies: list[Path] = []
        self._signals = 0

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self._signalled)
        while True:
            self._cookies = _cookies(self._config)
            seen = self._stamps()
            code = self._run_once(seen)
            if code:
                complain(self._options, f"exit code {code}; waiting for a change")
                while not self._signals and self._stamps() == seen:
                    time.sleep(_LOOK)
            if self._signals:
                return 0
            if code == 0:
                return code

    def _run_once(self, seen: Stamps) -> int | None:
        """The exit code of a bot that ended by itself, None of one that was stopped."""
        options = self._options
        command = [sys.executable, "-m", "xyfast", "run", str(options.bot)]
        command += ["--log-level", options.log_level, "--log-words"]
        if options.log_json:
            command.append("--log-json")
        if options.config is not None:
            command += ["--config", options.config]
        if options.status is not None:
            command += ["--status", options.status]
        # The folder of now hides no modules from it. In a session of its own Ctrl-C reaches it by
        # us alone.
        environ = {**os.environ, "PYTHONSAFEPATH": "1"}
        bot = subprocess.Popen(command, env=environ, start_new_session=True)
        told, changed = 0, False
        try:
            while bot.poll() is None:
                if not changed and (which := _changed(seen, self._stamps())):
                    changed = True
                    complain(options, f"{', '.join(which)} changed: stopping, then starting again")
                    bot.terminate()
                if self._signals > told:
                    # The second time it cuts its handlers off, the third time it is killed.
                    told += 1
                    bot.send_signal(signal.SIGKILL if told > 2 else signal.SIGTERM)
                time.sleep(_LOOK)
        except BaseException:  # standard error is closed, say: it must not run on unseen
            bot.terminate()
            raise
        return None if changed or told else bot.returncode

    def _stamps(self) -> Stamps:
        stamps = {}
        for path in (*self._options.bot.parent.glob("*.py"), self._config, *self._cookies):
            try:
                facts = path.stat()
            except OSError:
                continue
            stamps[path] = facts.st_mtime_ns, facts.st_size
        return stamps

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1


def _cookies(config: Path) -> list[Path]:
    """The files that accounts have their cookies from."""
    try:
        tables = read_config(config).get(ACCOUNTS, ())
    except ConfigError:  # the bot says so
        return []
    names = (table.get("cookies_file") for table in tables)
    return [config.parent / name for name in names if isinstance(name, str)]


def _changed(before: Stamps, now: Stamps) -> list[str]:
    return [path.name for path in {**before, **now} if before.get(path) != now.get(path)]
