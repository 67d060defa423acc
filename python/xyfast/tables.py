"""What TOML files and variables say, checked: what is wrong is named and never shown."""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar

from xyfast.errors import ConfigError
from xyfast.secret import Secret

__all__ = [
    "ACCOUNTS",
    "PREFIX",
    "Field",
    "Layers",
    "documented",
    "hint",
    "quoted",
    "read_config",
    "read_text",
    "read_toml",
]

T = TypeVar("T")

PREFIX = "XYFAST_"
"""What the variables of settings begin with."""

ACCOUNTS = "accounts"
_SECTIONS = {
    **{"store": str, "secrets": dict, "settings": dict, "retention": dict},
    ACCOUNTS: list,
}
_WORDS = {
    "str": "a string",
    "str | None": "a string",
    "str | Secret | None": "a string",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
}
_MANY = 12  # keys, too many for a line
_SHORT = 12  # characters: no secret, but what may be said of a value
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_toml(path: str | PathLike[str], /) -> dict[str, Any]:
    """Read a TOML file; raises `ConfigError`, which names it, if that cannot be done."""
    for name in ("tomllib", "tomli"):
        try:
            toml: Any = importlib.import_module(name)
            break
        except ModuleNotFoundError:
            continue
    else:
        raise ConfigError(f"{path}: Python 3.10 reads TOML with tomli; run: pip install tomli")
    # Errors are not chained: they may carry the file's text, which holds cookies.
    try:
        table: dict[str, Any] = toml.loads(read_text(path))
        return table
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except toml.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    except (ValueError, RecursionError):  # a number or a nesting that Python does not take
        raise ConfigError(f"{path}: is not TOML that can be read: too large or too deep") from None


def read_text(path: str | PathLike[str], /) -> str:
    """Read a file in UTF-8, with or without the mark that some editors put in front."""
    return Path(path).read_text(encoding="utf-8-sig")


def read_config(
    path: str | PathLike[str], /, homes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Read a file of ``store``, ``[secrets]``, ``[settings]``, ``[retention]``, ``[[accounts]]``.

    What is in a section is not looked at. Raises `ConfigError` for another key; ``homes`` says
    where those belong that stand in a section.
    """
    table = read_toml(path)
    problems = []
    for key, value in table.items():
        if key not in _SECTIONS:
            problems.append(
                f"{path}: unknown key {quoted(key)}; {hint(key, _SECTIONS, homes=homes)}"
            )
        elif not isinstance(value, _SECTIONS[key]):
            want = {str: "a string", dict: f"a table, [{key}]", list: f"tables, [[{key}]]"}
            problems.append(f"{path}: {quoted(key)} must be {want[_SECTIONS[key]]}")
        elif key == ACCOUNTS and not all(isinstance(each, dict) for each in value):
            problems.append(f"{path}: `{key}` must be tables, [[{key}]]")
    if problems:
        raise ConfigError("\n".join(problems))
    return table


def hint(
    key: str, known: Collection[str], before: str = "", homes: Mapping[str, str] | None = None
) -> str:
    """Where a key belongs by ``homes``, else the known key that it is near, else all of them.

    ``before`` is what stands before those of its own table.
    """
    if key in (homes or {}):
        return f"it belongs {(homes or {})[key]}"
    spelled = {each.lower(): each for each in known}
    near = difflib.get_close_matches(key.lower(), spelled, n=1)
    near = near or [each for each in spelled if key and each.startswith(f"{key.lower()}_")]
    if near:
        return f"did you mean {quoted(before + spelled[near[0]])}?"
    if len(known) > _MANY:
        return "all that there are: the page reference/settings of the documentation"
    return f"known: {', '.join(quoted(before + each) for each in known)}"


def quoted(key: str) -> str:
    """A key as messages show it, with escapes for what a terminal might obey."""
    return f"`{key if key.isprintable() else json.dumps(key)}`"


class Layers(Generic[T]):
    """The fields of a dataclass as layers give them: a later one is stronger.

    Each layer is checked when it is given; what is wrong is collected, and `make` raises it, a
    line each. A float takes whole numbers too, and nothing else takes another type. A field whose
    metadata say ``path`` is relative to the file that names it. ``homes`` says of keys of other
    tables where they belong.
    """

    def __init__(
        self, kind: type[T], section: str, prefix: str, homes: Mapping[str, str] | None = None
    ) -> None:
        self._kind = kind
        self._homes = homes
        self.section = section
        self._prefix = prefix
        self._fields: dict[str, Any] = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
        self._values: dict[str, Any] = {}
        self._problems: list[str] = []
        self.origins: dict[str, str] = {}
        """By name of a field, where its value comes from; defaults are left out."""

    def take_table(self, path: str | PathLike[str], table: Mapping[str, object]) -> None:
        """Take the table of this section of a file."""
        before = f"{self.section}."
        for key, value in table.items():
            if key not in self._fields:
                meant = hint(key, self._fields, before, self._homes)
                self._problems.append(f"{path}: unknown key {quoted(before + key)}; {meant}")
            elif not self._fits(key, value):
                self._refuse(f"{path}: `{before}{key}`", key, value)
            else:
                if value and self._fields[key].metadata.get("path"):
                    value = str(Path(path).parent / str(value))
                self._set(key, value, f"{path}: `{before}{key}`")

    def take_variables(self, environ: Mapping[str, str], others: Collection[str] = ()) -> None:
        """Take all variables with the prefix.

        ``others`` are passed over: names, and beginnings that end in ``_``.
        """
        begun = tuple(each for each in others if each.endswith("_"))
        known = {self._prefix + name.upper(): name for name in self._fields}
        for variable, text in sorted(environ.items()):
            if not variable.startswith(self._prefix) or variable.startswith(begun):
                continue
            if variable in known:
                self._take_variable(variable, known[variable], text)
            elif variable not in others:
                meant = hint(variable, [*known, *others])
                self._problems.append(f"there is no variable {quoted(variable)}; {meant}")

    def _take_variable(self, variable: str, key: str, text: str) -> None:
        try:
            value = _parsed(text, self._fields[key].type)
        except ValueError:
            self._refuse(variable, key, text)
        else:
            self._set(key, value, variable)

    def take_code(self, values: Mapping[str, object]) -> None:
        """Take what the program itself says."""
        for key, value in values.items():
            if key not in self._fields:
                self._problems.append(f"unknown setting {quoted(key)}; {hint(key, self._fields)}")
            elif value is None and "None" in self._fields[key].type:
                self._set(key, None, "code")
            elif not self._fits(key, value):
                self._refuse(f"`{key}`", key, value)
            else:
                self._set(key, value, "code")

    def make(self) -> T:
        """Make the dataclass; raises `ConfigError`."""
        if self._problems:
            raise ConfigError("\n".join(self._problems))
        try:
            return self._kind(**self._values)
        except ConfigError as error:
            named = [name for name in self.origins if re.search(rf"\b{name}\b", str(error))]
            places = ", ".join(sorted({self.origins[name] for name in named or self.origins}))
            raise ConfigError(f"{places}: {error}") from None

    def _fits(self, key: str, value: object) -> bool:
        kinds: dict[str, type | tuple[type, ...]] = {
            "bool": bool,
            "int": int,
            "float": (int, float),
        }
        kind = self._fields[key].type
        if isinstance(value, bool):
            return bool(kind == "bool")
        if "Secret" in kind and isinstance(value, Secret):
            return True
        return isinstance(value, kinds.get(kind, str))

    def _refuse(self, place: str, key: str, value: object) -> None:
        kind = self._fields[key].type
        shown = "" if "Secret" in kind else f", not {_short(value)}"
        if kind == "float" and re.fullmatch(r"[\d.]+ ?[a-z]+", str(value)):
            shown += "; durations are in seconds"
        self._problems.append(f"{place} must be {_WORDS[kind]}{shown}")

    def _set(self, key: str, value: object, origin: str) -> None:
        self._values[key] = value
        self.origins[key] = origin


def _short(value: object) -> str:
    """A value as Python has it, if it is so short that it says nothing else."""
    shown = repr(value)
    return shown if len(shown) <= _SHORT else f"a {type(value).__name__}"


def _parsed(text: str, kind: str) -> object:
    """What a variable says; raises ValueError."""
    if "None" in kind:
        return text or None  # as whoever cannot remove a variable empties it
    if kind == "bool":
        if text.lower() not in _BOOLS:
            raise ValueError
        return _BOOLS[text.lower()]
    return {"int": int, "float": float, "str": str}[kind](text)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a dataclass of settings, as its class explains it."""

    name: str
    type: str
    default: Any
    meaning: str
    group: str
    example: str | None
    """Where there is no default."""
    secret: bool


def documented(kind: type, /) -> Iterator[Field]:
    """The fields of a class with the texts below them; a comment of a line begins a group.

    Where the source is not installed there are no texts.
    """
    try:
        source = inspect.getsource(kind)
    except OSError:
        source = ""
    explained, group = {}, ""
    pattern = r"^    (?:# (.+)|(\w+): .+\n    \"\"\"([^\"]+)\"\"\")$"
    for title, name, text in re.findall(pattern, source, re.MULTILINE):
        group = title or group
        explained[name] = (re.sub(r"\s+", " ", text).replace("``", "`"), group)
    for each in fields(kind):
        meaning, group = explained.get(each.name, ("", ""))
        example = each.metadata.get("example")
        yield Field(
            each.name, str(each.type), each.default, meaning, group, example, "Secret" in each.type
        )
