"""In which order rows of one position stand in line, where packages tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xyfast.envelope import DIGEST
from xyfast.store.rows import Row

__all__ = ["Stretch", "stand_anew", "stretches"]


class Stretch(NamedTuple):
    """Rows of one position that came in one package; some are ``new``, the first among them."""

    account_id: str
    position: int
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
        if not new.issuperset(numbers):
            fresh = {rows[number].key for number in new.intersection(numbers)}
            keys = [rows[number].key for number in numbers]
            told = [key for key in keys if key in fresh or not key.startswith(DIGEST)]
            yield Stretch(*_place(rows[numbers[0]]), told, fresh)


def stand_anew(line: Sequence[str], stretch: Stretch) -> Sequence[str]:
    """What stands otherwise from now on, in its order, at the end of a line.

    ``line`` are the keys that wait at a position. What is new stands before the known one that
    follows it in its package; else all stays in the order of coming, since a package may leave
    out what came before.
    """
    order = list(line)
    next_one: str | None = None
    for key in reversed(dict.fromkeys(stretch.keys)):
        if key in order:
            if key in stretch.new and next_one is not None:
                order.remove(key)
                order.insert(order.index(next_one), key)
            next_one = key
    moved = [at for at, key in enumerate(line) if order[at] != key]
    return order[moved[0] :] if moved else ()


def _place(row: Row) -> tuple[str, int]:
    return row.account_id, row.position
