"""What of the inbox is in memory."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from xyfast.window import Ask, Window

ME, OTHER = "9000000000001", "9000000000002"


class Disk:
    """Rows that wait, in order, and rows in memory; a window says which is which."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.waiting: dict[str, list[tuple[str | None, int, int]]] = {}
        self.memory: dict[str, list[tuple[str | None, int, int]]] = {}
        self.handled: dict[tuple[str, str | None], list[int]] = {}

    def come(self, account: str, name: str | None, size: int, number: int) -> None:
        taken = self.window.admit(account, name, size)
        place = self.memory if taken else self.waiting
        place.setdefault(account, []).append((name, size, number))

    def page(self) -> Ask | None:
        ask = self.window.ask()
        if ask is not None:
            line = self.waiting.get(ask.account_id, [])
            rows: list[tuple[str | None, int, int]] = []
            for row in line:
                if len(rows) == ask.limit or sum(size for _, size, _ in rows) >= ask.size:
                    break
                if row[0] not in ask.skip and (ask.until is None or row[2] <= ask.until):
                    rows.append(row)
            for row in rows:
                line.remove(row)
            self.memory.setdefault(ask.account_id, []).extend(rows)
            self.window.paged(ask, [(name, size) for name, size, _ in rows], more=bool(line))
        return ask

    def page_all(self) -> None:
        for _ in range(10_000):
            if self.page() is None:
                return
        raise AssertionError("there is no end to the pages")

    def handle(self, account: str, at: int = 0) -> None:
        """Handle the first row in memory of the conversation of row ``at``."""
        rows = self.memory[account]
        name = rows[at][0]
        row = next(row for row in rows if row[0] == name)
        rows.remove(row)
        self.handled.setdefault((account, name), []).append(row[2])
        self.window.leave(account, name, row[1])

    def count(self, account: str) -> int:
        return len(self.memory.get(account, []))


def test_a_conversation_takes_its_share_and_then_waits_in_order() -> None:
    disk = Disk(Window(100, 10_000, lane=4))
    for number in range(8):
        disk.come(ME, "a", 1, number)
    disk.come(ME, "b", 1, 100)
    assert disk.memory[ME] == [("a", 1, n) for n in range(4)] + [("b", 1, 100)]
    assert disk.page() is None  # enough of it is in memory
    disk.handle(ME)
    disk.come(ME, "a", 1, 8)  # there is room, but others of it are first
    assert len(disk.waiting[ME]) == 5
    disk.handle(ME)
    disk.handle(ME)
    disk.page_all()
    assert disk.waiting[ME] == []
    assert [n for name, _, n in disk.memory[ME] if name == "a"] == [3, 4, 5, 6, 7, 8]
    disk.come(ME, None, 1, 9)
    assert disk.memory[ME][-1] == (None, 1, 9)


def test_while_an_account_holds_all_waits_and_nothing_is_paged_in() -> None:
    disk = Disk(Window(100, 10_000))
    disk.window.hold(ME, -1)
    disk.come(ME, "a", 1, 1)
    disk.come(OTHER, "a", 1, 2)
    assert (disk.count(ME), disk.count(OTHER)) == (0, 1)
    disk.page_all()
    assert disk.count(ME) == 0
    disk.window.release(ME)
    disk.page_all()
    assert disk.count(ME) == 1


def test_what_stands_up_to_a_position_is_paged_in_while_the_rest_is_held() -> None:
    disk = Disk(Window(100, 10_000, lane=4))
    disk.window.hold(ME, -1)
    for number in range(20):
        disk.come(ME, "ab"[number % 2], 1, number)
    disk.page_all()
    assert disk.count(ME) == 0
    disk.window.hold(ME, 9)
    disk.page_all()
    while disk.count(ME):
        disk.handle(ME)
        disk.page_all()
    assert disk.handled == {(ME, "a"): [0, 2, 4, 6, 8], (ME, "b"): [1, 3, 5, 7, 9]}
    assert disk.window.ask() is None
    disk.window.release(ME)
    disk.page_all()
    while disk.count(ME):
        disk.handle(ME)
        disk.page_all()
    assert disk.handled[ME, "b"] == [*range(1, 20, 2)]


def test_after_a_start_anything_may_be_on_disk() -> None:
    disk = Disk(Window(100, 10_000))
    disk.waiting[ME] = [("a", 1, 1)]
    disk.window.behind(ME)
    disk.come(ME, "b", 1, 2)
    disk.page_all()
    assert [number for _, _, number in disk.memory[ME]] == [1, 2]
    disk.come(ME, "a", 1, 3)
    assert disk.count(ME) == 3


def test_what_is_told_while_a_page_is_read_is_not_forgotten() -> None:
    window = Window(100, 10_000)
    window.behind(ME)
    ask = window.ask()
    assert ask is not None
    window.behind(ME)
    window.paged(ask, [], more=False)
    assert not window.admit(ME, "a", 1)
    assert window.ask() is not None


def test_a_flood_leaves_room_for_other_accounts() -> None:
    disk = Disk(Window(100, 10_000))
    for number in range(1000):
        disk.come(ME, str(number), 1, number)
    disk.page_all()
    assert disk.count(ME) == 50
    for number in range(1000):
        disk.come(OTHER, str(number), 1, number)
    assert disk.count(OTHER) == 25
    disk.come("3", "a", 1, 0)
    assert disk.count("3") == 1


def test_accounts_that_are_behind_take_turns() -> None:
    window = Window(8, 10_000)
    for account in (ME, OTHER, "3"):
        window.behind(account)
    asked = []
    while (ask := window.ask()) is not None:
        asked.append(ask.account_id)
        window.paged(ask, [("a", 1)], more=True)
    assert asked[:3] == [ME, OTHER, "3"]


def test_a_row_larger_than_all_comes_alone() -> None:
    disk = Disk(Window(100, 1000))
    for number in range(3):
        disk.come(ME, "a", 5000, number)
    for number in range(3):
        disk.page_all()
        assert [n for _, _, n in disk.memory[ME]] == [number]
        disk.handle(ME)
    assert disk.handled[ME, "a"] == [0, 1, 2]


def test_a_page_is_not_asked_for_with_every_row_that_has_left() -> None:
    disk, pages = Disk(Window(1000, 10**9)), 0
    for number in range(5000):
        disk.come(ME, str(number % 500), 1, number)
    while disk.count(ME):
        disk.handle(ME)
        while disk.page() is not None:
            pages += 1
    assert sum(len(numbers) for numbers in disk.handled.values()) == 5000
    assert pages < 5000 / 30


def test_of_very_many_conversations_only_that_they_are_behind_is_known() -> None:
    disk = Disk(Window(1, 10_000, names=10))
    for number in range(100):
        disk.come(ME, str(number), 1, number)
    assert len(disk.waiting[ME]) == 99
    while disk.count(ME):
        disk.handle(ME)
        disk.page_all()
    assert len(disk.handled) == 100
    disk.come(ME, "x", 1, 100)
    assert disk.count(ME) == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "handle", "handle", "page", "hold", "release"]),
        st.integers(0, 2),
        st.sampled_from(["a", "b", "c", None]),
        st.integers(1, 40),
    ),
    max_size=300,
)


@settings(max_examples=300)
@given(
    rows=st.integers(1, 20),
    size=st.integers(1, 200),
    lane=st.integers(1, 5),
    page=st.integers(1, 6),
    names=st.integers(1, 3),
    steps=STEPS,
)
def test_whatever_happens_order_and_bounds_hold_and_nothing_is_forgotten(
    rows: int,
    size: int,
    lane: int,
    page: int,
    names: int,
    steps: list[tuple[str, int, str | None, int]],
) -> None:
    window = Window(rows, size, lane=lane, page=page, names=names)
    disk = Disk(window)
    come: dict[tuple[str, str | None], list[int]] = {}
    held: dict[str, int] = {}
    for number, (what, which, name, length) in enumerate(steps):
        account = str(which)
        before = disk.count(account)
        if what == "come":
            disk.come(account, name, length, number)
            come.setdefault((account, name), []).append(number)
            assert account not in held or disk.count(account) == before
        elif what == "handle" and before:
            disk.handle(account, length % before)
        elif what == "page":
            ask = disk.page()
            assert ask is None or ask.until == held.get(ask.account_id)
        elif what == "hold":
            held[account] = number - length  # so that some of what waits is not held
            window.hold(account, held[account])
        elif what == "release":
            window.release(account)
            held.pop(account, None)
        kept = [row for there in disk.memory.values() for row in there]
        assert len(kept) <= rows
        sizes = deque(length for _, length, _ in kept)
        assert not sizes or sum(sizes) < size + max(sizes)
    disk.page_all()
    for account, until in held.items():
        low = [row for row in disk.waiting.get(account, ()) if row[2] <= until]
        assert not low or any(map(disk.count, "012"))  # else nothing would bring them in
    for account in "012":
        window.release(account)
    for _ in range(1000):
        disk.page_all()
        left = [account for account in "012" if disk.count(account)]
        if not left:
            break
        for account in left:
            disk.handle(account)
    assert disk.handled == come


def test_an_account_that_is_forgotten_is_in_no_line_and_counts_until_it_has_left() -> None:
    window = Window(10, 1000)
    window.behind("a")
    window.behind("b")
    window.forget("a")
    ask = window.ask()
    assert ask is not None
    assert ask.account_id == "b"
    window.paged(ask, [("x", 1)], more=False)
    room = window.room
    window.forget("b")
    assert window.room == room
    window.leave("b", "x", 1)
    assert window.room == room + 1
    window.forget("b")
    window.forget("never there")
