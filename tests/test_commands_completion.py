"""``xyfast completion``: the scripts, in the shells that they are for."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from inboxes import Run
from xyfast.commands.parser import make_parser

FAULTS = ["none", "reset", "close", "half-open", "duplicate", "bad-payload"]


def commands(
    parser: argparse.ArgumentParser, *at: str
) -> Iterator[tuple[tuple[str, ...], list[str], list[str]]]:
    """The words of each command, its options, and the commands in it."""
    options = [name for action in parser._actions for name in action.option_strings]
    inner = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    yield at, options, [name for each in inner for name in each.choices]
    for each in inner:
        for name, child in each.choices.items():
            yield from commands(child, *at, name)


ALL = list(commands(make_parser()))


def shell(name: str, script: str) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name}")
    done = subprocess.run([name], input=script, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def bash(run: Run, *lines: list[str]) -> list[list[str]]:
    """What is offered for the last word of each line."""
    script = run("completion", "bash").out
    for words in lines:
        each = " ".join(f"'{word}'" for word in ("xyfast", *words))
        script += (
            f'\nCOMP_WORDS=({each}); COMP_CWORD={len(words)}; _xyfast; echo "${{COMPREPLY[*]}}"'
        )
    return [line.split() for line in shell("bash", script).splitlines()]


def zsh(run: Run, *lines: list[str]) -> list[list[str]]:
    # What zsh's own functions would show.
    script = (
        'compdef() {}\ncompadd() { shift; print -r -- "$@" }\n_files() { print FILES }\n'
        '_describe() { print -r -- "${(@)${(P)2}%%:*}" }\n' + run("completion", "zsh").out
    )
    for words in lines:
        each = " ".join(f"'{word}'" for word in ("xyfast", *words))
        script += f"\nwords=({each}); CURRENT={len(words) + 1}; PREFIX='{words[-1]}'; _xyfast"
    return [line.split() for line in shell("zsh", script).splitlines()]


def fish(run: Run, *lines: list[str]) -> list[list[str]]:
    script = run("completion", "fish").out
    for words in lines:
        line = " ".join(("xyfast", *words))
        script += f"\necho (complete -C '{line}' | string split -f 1 \\t)"
    return [line.split() for line in shell("fish", script).splitlines()]


def test_bash_is_offered_every_command_and_option(run: Run) -> None:
    lines, expected = [], []
    for at, options, inner in ALL:
        lines += [[*at, "-"], [*at, ""]]
        choices = ["bash", "fish", "zsh"] if at == ("completion",) else inner
        expected += [options, choices]
    assert bash(run, *lines) == expected


def test_zsh_is_offered_every_command_and_option(run: Run) -> None:
    lines, expected = [], []
    for at, options, inner in ALL:
        lines += [[*at, "-"], [*at, ""]]
        choices = ["bash", "fish", "zsh"] if at == ("completion",) else inner or ["FILES"]
        expected += [options, choices]
    assert zsh(run, *lines) == expected


def test_fish_is_offered_every_command_and_option(run: Run) -> None:
    lines, expected = [], []
    for at, options, inner in ALL:
        lines.append([*at, "--"])
        expected.append(sorted(name for name in options if name.startswith("--")))
        if inner:
            lines.append([*at, ""])
            expected.append(sorted(inner))
    assert fish(run, *lines) == expected


@pytest.mark.parametrize("offered", [bash, zsh, fish])
def test_values_of_options_are_offered(offered: object, run: Run) -> None:
    assert callable(offered)
    lines = [["demo", "--fault", ""], ["fake-server", "--port", "1", "--fault", ""]]
    found = offered(run, *lines)
    assert [sorted(each) for each in found] == [sorted(FAULTS)] * 2
    [levels] = offered(run, ["run", "bot.py", "--log-level", "w"])
    assert "warning" in levels


def test_only_what_begins_so_is_offered(run: Run) -> None:
    assert bash(run, ["d"], ["dead", "re"], ["dead", "list", "--st"], ["dead", "list", ""]) == [
        ["doctor", "dead", "decode", "demo"],
        ["replay"],
        ["--store"],
        [],  # bash completes paths
    ]


def test_another_shell_is_wrong_use(run: Run) -> None:
    with pytest.raises(SystemExit) as caught:
        run("completion", "tcsh")
    assert caught.value.code == 2
