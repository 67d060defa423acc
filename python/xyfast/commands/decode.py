"""``xyfast decode``: payloads and frames to JSON that people can read."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from xyfast._core import Frame, b64decode, parse_frame, read_payload
from xyfast.commands.shared import Commands, add_command, complain
from xyfast.errors import ConfigError, DecodeError
from xyfast.shown import json_text

__all__ = ["add_parser"]


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "decode",
        run,
        help="decode a payload or a frame to JSON",
        description="Decode a payload (base64) or a whole frame (JSON text with lwp and "
        "headers), given as an argument, or one a line from a file or standard input. Exit "
        "code 0: all decoded, 1: something could not be decoded, 2: wrong use.",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "text", nargs="?", help="a payload or a frame; without it standard input is read"
    )
    source.add_argument("--file", metavar="PATH", help="read lines from PATH; - is standard input")
    parser.add_argument(
        "--compact", "--json", action="store_true", help="one line of JSON each, for programs"
    )


def run(options: argparse.Namespace) -> int:
    """Decode everything; errors go to standard error with the line and the offset."""
    if options.text is not None:
        return _decode(options, [("argument", options.text)])
    if options.file in (None, "-"):
        if sys.stdin.isatty():
            complain(options, "reading lines; Ctrl-D ends them")
        return _decode(options, _lines(sys.stdin, "standard input", "line"))
    try:
        file = open(options.file, encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(f"{options.file}: {error.strerror}") from None
    with file:
        return _decode(options, _lines(file, options.file, f"{options.file}, line"))


def _lines(file: TextIO, name: str, where: str) -> Iterator[tuple[str, str]]:
    try:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{where} {number}", line.strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}") from None


def _decode(options: argparse.Namespace, texts: Iterable[tuple[str, str]]) -> int:
    failed = False
    for where, text in texts:
        try:
            value, errors = _value(text)
        except DecodeError as error:
            value, errors = None, [str(error)]
        else:
            indent = None if options.compact else 2
            print(json_text(value, indent=indent))
        for message in errors:
            failed = True
            complain(options, f"{where}: {message}")
    return int(failed)


def _value(text: str) -> tuple[Any, list[str]]:
    """What a text holds, and what of it could not be decoded."""
    if text.lstrip().startswith("{"):
        try:
            frame = parse_frame(text)
        except DecodeError:
            # A payload may be plain JSON, too; a broken text is better told as a frame.
            payload = read_payload(text)
            if payload.error is not None:
                raise
            return payload.tree, []
        return _frame(frame)
    payload = read_payload(text)
    if payload.error is not None:
        if not b64decode(text, strict=False):
            raise DecodeError("is neither base64 nor JSON", "base64", 0)
        raise payload.error
    return payload.tree, []


def _frame(frame: Frame) -> tuple[Any, list[str]]:
    value: dict[str, Any] = {"kind": frame.kind, "lwp": frame.lwp, "code": frame.code}
    value["headers"] = json.loads(frame.headers)
    payloads, errors = [], []
    for index, payload in enumerate(frame.payloads):
        payloads.append(payload.tree)
        if payload.error is not None:
            errors.append(f"payload {index}: {payload.stage}: {payload.error}")
    if payloads:
        value["max_pts"] = frame.max_pts
        value["payloads"] = payloads
    elif frame.body is not None:
        value["body"] = json.loads(frame.body)
    return value, errors
