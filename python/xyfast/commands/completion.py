"""``xyfast completion``: what shells need to complete commands, options and their values."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xyfast.commands.shared import Commands, add_command

__all__ = ["add_parser"]

_FILES = ("PATH", "FILE", "BOT.py")  # what the help calls the path of a file


@dataclass(frozen=True, slots=True)
class _Value:
    """An option, or an argument that has no name: its words, what it may be, and its help."""

    names: tuple[str, ...]
    choices: tuple[str, ...]
    files: bool
    wanted: bool
    help: str


@dataclass(frozen=True, slots=True)
class _Command:
    """``at`` is its words, each after a space: "" of all, " dead list" of one."""

    at: str
    commands: tuple[tuple[str, str], ...]
    options: tuple[_Value, ...]
    arguments: tuple[_Value, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """What its first argument may be, if that is known."""
        if self.commands:
            return tuple(name for name, _ in self.commands)
        return self.arguments[0].choices if self.arguments else ()


def add_parser(commands: Commands) -> None:
    """Add the command to the parser of ``xyfast``."""
    parser = add_command(
        commands,
        "completion",
        _run,
        help="print what a shell needs to complete commands and options",
        description="Print a script for a shell. bash: source <(xyfast completion bash) in "
        "~/.bashrc; zsh: the same with zsh in ~/.zshrc, after compinit; fish: xyfast completion "
        "fish > ~/.config/fish/completions/xyfast.fish",
    )
    parser.add_argument("shell", choices=sorted(_SHELLS))


def _run(options: argparse.Namespace) -> int:
    from xyfast.commands.parser import make_parser  # which imports this module

    print(_SHELLS[options.shell](list(_walk("", make_parser()))))
    return 0


def _walk(at: str, parser: argparse.ArgumentParser) -> Iterator[_Command]:
    options: list[_Value] = []
    arguments: list[_Value] = []
    inner: Commands | None = None
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            inner = action
            continue
        value = _Value(
            tuple(action.option_strings),
            tuple(map(str, action.choices or ())),
            action.metavar in _FILES,
            action.nargs != 0,
            # What follows a semicolon is about defaults.
            (action.help or "").replace("%(default)s", str(action.default)).partition(";")[0],
        )
        (options if action.option_strings else arguments).append(value)
    commands = () if inner is None else _named(inner)
    yield _Command(at, commands, tuple(options), tuple(arguments))
    if inner is not None:
        for name, each in inner.choices.items():
            yield from _walk(f"{at} {name}", each)


def _named(commands: Commands) -> tuple[tuple[str, str], ...]:
    """Names and helps."""
    return tuple((each.dest, each.help or "") for each in commands._choices_actions)


def _alternatives(words: Iterator[str], between: str) -> str:
    """Patterns that match these words alone."""
    return between.join(f'"{word}"' for word in words)


def _cases(found: list[_Command], act: Callable[[_Value], str]) -> Iterator[str]:
    """For options with a value: where the line stands, and what to do there."""
    places: dict[str, list[str]] = {}
    for command in found:
        for value in command.options:
            if value.wanted:
                names = [f"{command.at}|{name}" for name in value.names]
                places.setdefault(act(value), []).extend(names)
    for done, names in places.items():
        yield f"        {_alternatives(iter(names), '|')}) {done} ;;"


def _ats(found: list[_Command]) -> Iterator[str]:
    return (command.at for command in found if command.at)


def _bash(found: list[_Command]) -> str:
    # Where it offers nothing, bash completes paths.
    values = _cases(
        found,
        lambda value: f'offer "{" ".join(value.choices)}"; return' if value.choices else "return",
    )
    options = (
        f'        "{each.at}") offer "{" ".join(n for o in each.options for n in o.names)}" ;;'
        for each in found
    )
    words = (
        f'        "{each.at}") offer "{" ".join(each.values)}" ;;' for each in found if each.values
    )
    lines = "\n".join
    return f"""\
_xyfast() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} at="" word
    offer() {{ COMPREPLY=($(compgen -W "$1" -- "$cur")); }}
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$at $word" in {_alternatives(_ats(found), "|")}) at="$at $word" ;; esac
    done
    case "$at|${{COMP_WORDS[COMP_CWORD-1]}}" in
{lines(values)}
    esac
    if [[ $cur == -* ]]; then case "$at" in
{lines(options)}
    esac; else case "$at" in
{lines(words)}
    esac; fi
}}
complete -o bashdefault -o default -F _xyfast xyfast"""


def _zsh(found: list[_Command]) -> str:
    def described(pairs: Iterator[tuple[str, str]]) -> str:
        return " ".join(shlex.quote(name.replace(":", "\\:") + ":" + text) for name, text in pairs)

    values = _cases(
        found,
        lambda value: (
            f"compadd -- {' '.join(value.choices)}; return"
            if value.choices
            else "_files; return"
            if value.files
            else "return"
        ),
    )
    options = (
        f'        "{each.at}") offer=('
        f"{described((name, o.help) for o in each.options for name in o.names)}) ;;"
        for each in found
    )
    words = (
        f'        "{each.at}") offer=({described(iter(each.commands))}) ;;'
        if each.commands
        else f'        "{each.at}") compadd -- {" ".join(each.values)}; return ;;'
        for each in found
        if each.values
    )
    lines = "\n".join
    return f"""\
#compdef xyfast
_xyfast() {{
    local at="" word
    local -a offer
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in {_alternatives(_ats(found), "|")}) at="$at $word" ;; esac
    done
    case "$at|${{words[CURRENT-1]}}" in
{lines(values)}
    esac
    if [[ $PREFIX == -* ]]; then case "$at" in
{lines(options)}
    esac; else case "$at" in
{lines(words)}
        *) _files; return ;;
    esac; fi
    _describe xyfast offer
}}
compdef _xyfast xyfast"""


def _fish(found: list[_Command]) -> str:
    lines = [
        "function __xyfast_at",
        "    set -l at ''",
        "    for word in (commandline -opc)[2..-1]",
        f'        switch "$at $word"; case {_alternatives(_ats(found), " ")}',
        '            set at "$at $word"',
        "        end",
        "    end",
        '    test "$at" = "$argv[1]"',
        "end",
        "complete -c xyfast -f",
    ]
    for command in found:
        here = f"complete -c xyfast -n \"__xyfast_at '{command.at}'\""
        for name, text in command.commands:
            lines.append(f"{here} -a {name} -d {_fished(text)}")
        for value in command.arguments:
            if value.choices:
                lines.append(f"{here} -a {_fished(' '.join(value.choices))}")
            elif value.files:
                lines.append(f"{here} -F")
        for value in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in value.names
            )
            takes = f" -x -a {_fished(' '.join(value.choices))}" if value.wanted else ""
            takes = " -r -F" if value.files else takes
            lines.append(f"{here} {names}{takes} -d {_fished(value.help)}")
    return "\n".join(lines)


def _fished(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SHELLS: dict[str, Callable[[list[_Command]], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
