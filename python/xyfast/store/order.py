"""In which order rows of one position stand in line, where packages tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xyfast.envelope import DIGEST
from xyfast.store.rows import Row

__all__ = ["Stretch", "stand_anew", "stretches"]

_MOST = 1000  # rows that stand anew


class Stretch(NamedTuple):
    """Rows of one conversation and position that came in one package; some are ``new``."""

    account_id: str
    position: int
    conversation_id: str | None
    keys: Sequence[str]
    new: set[str]


def stretches(rows: Sequence[Row], new: set[int]) -> Iterator[Stretch]:
    """Those of a commit; ``new`` are the numbers of its rows that are.

    Of the known ones only those with an id: a digest may be that of another event of the time.
    """
    found: list[list[int]] = []
    for number, row in enumerate(rows):
        if row.follows and found and found[-1] and _place(rows[found[-1][0]]) == _place(row):
            found[-1].append(number)
        else:
            found.append([number] if number in new else [])
    for numbers in found:
        lines: dict[str | None, list[int]] = {}
        for number in numbers:
            lines.setdefault(rows[number].conversation_id, []).append(number)
        for conversation_id, line in lines.items():
            fresh = {rows[number].key for number in new.intersection(line)}
            if fresh and not new.issuperset(line):
                keys = [rows[number].key for number in line]
                told = [key for key in keys if key in fresh or not key.startswith(DIGEST)]
                yield Stretch(*_place(rows[line[0]]), conversation_id, told, fresh)


def stand_anew(
    stretch: Stretch, places: Mapping[str, int], behind: Callable[[int, int], Sequence[str]]
) -> Sequence[str]:
    """What stands otherwise from now on, in its order, at the end of its line.

    ``places`` are those of what waits of the stretch, ``behind(place, most)`` gives the keys that
    wait in that line from a place on. What is new stands before the known one that follows it in
    its package; else all stays in the order of coming, since a package may leave out what came
    before. So it does where more stand behind than can be gone through.
    """
    ahead: dict[str, list[str]] = {}
    next_one: str | None = None
    for key in reversed(dict.fromkeys(stretch.keys)):
        if key not in places:
            continue
        if key not in stretch.new:
            next_one = key
        elif next_one is not None:
            ahead.setdefault(next_one, []).insert(0, key)
    if not ahead:
        return ()
    line = behind(min(places[key] for key in ahead), _MOST + 1)
    moved = {key for keys in ahead.values() for key in keys}
    if len(line) > _MOST:
        return ()
    return [each for key in line if key not in moved for each in (*ahead.get(key, ()), key)]


def _place(row: Row) -> tuple[str, int]:
    return row.account_id, row.position
