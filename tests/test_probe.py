"""Whether a link hears: when the server is asked, and what follows; on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest

from simulation.loop import simulate
from world import ME
from xyfast.errors import RequestError, SendRefused, SendUnknown
from xyfast.instrumentation import Fact, FoundDeaf, Hooks
from xyfast.probe import Probe
from xyfast.reconcile import Recovery

SINCE = 1_767_225_600_000
GONE = SendRefused("", code=401, reason="token is not found", error="token")
THROTTLED = SendRefused("", code=400, reason="slow down", error="throttled")
REJECTED = SendRefused("", code=400, reason="not yours", error="rejected")
UNANSWERED = SendUnknown("no answer")


def listed(name: str, modified: int, last: str) -> Any:
    """An entry of the list of conversations."""
    return {
        "singleChatUserConversation": {
            "modifyTime": modified,
            "lastMessage": {"message": {"messageId": last}},
            "singleChatConversation": {"cid": f"{name}@goofish"},
        }
    }


class Ear:
    """A probe, what the server lists and the inbox has, and what the probe did."""

    def __init__(self, roll: float) -> None:
        self.above: list[Any] = []
        self.newest: str | None = None
        self.modified = SINCE
        self.trouble: Exception | None = None
        self.inbox: set[str] = set()
        self.found = Recovery()
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked: list[float] = []
        self.compared: list[tuple[float, int | None]] = []
        self.deaf: list[tuple[float, int]] = []
        self.facts: list[Fact] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.replaceable = True
        self.probe = Probe(
            ME,
            after=60.0,
            again=90.0,
            ask=self._ask,
            known=self._known,
            compare=self._compare,
            deaf=self._deafened,
            hooks=Hooks([self.facts.append]),
            spawn=self._spawn,
            dice=lambda: roll,
        )

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def _deafened(self, link: int) -> bool:
        self.deaf.append((self.now, link))
        return self.replaceable

    def say(self, name: str, others: int = 1) -> None:
        """Let the server have a new message; a comparison will find so many of others."""
        self.newest = name
        self.modified += 1
        self.found = Recovery(messages=1, others=others, conversations=1)

    async def until(self, time: float) -> None:
        await asyncio.sleep(time - self.now)

    async def _ask(self, build: Callable[..., str]) -> Any:
        assert '"/r/Conversation/listNewestPagination"' in (text := build(mid="1 0"))
        assert text.endswith(",10]}")
        self.asked.append(self.now)
        if self.trouble is not None:
            raise self.trouble
        newest = [] if self.newest is None else [listed("1", self.modified, self.newest)]
        return {"userConvs": self.above + newest}

    async def _known(self, keys: Collection[str]) -> Collection[str]:
        return self.inbox & set(keys)

    async def _compare(self, since: int | None) -> Recovery:
        self.compared.append((self.now, since))
        self.meanwhile()
        found, self.found = self.found, Recovery()
        if self.newest is not None:
            self.inbox.add(self.newest)
        return found

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        return task


def hearing(script: Callable[[Ear], Any], *, roll: float = 0.0) -> Ear:
    """Run ``script`` with a link that is caught up at 0 s, compared with all before it."""
    ear: Ear | None = None

    async def main() -> None:
        nonlocal ear
        ear = Ear(roll)
        ear.probe.begin(1, None)
        await script(ear)
        assert not any(task.done() and not task.cancelled() for task in ear.tasks)
        ear.probe.end()

    simulate(main())
    assert ear is not None
    return ear


@pytest.mark.parametrize(("roll", "times"), [(1.0, [45, 90, 135]), (0.0, [60, 120, 180])])
def test_a_silent_link_is_asked_at_its_own_time_again_and_again(
    roll: float, times: list[float]
) -> None:
    async def script(ear: Ear) -> None:
        await ear.until(times[-1] + 1.0)

    ear = hearing(script, roll=roll)
    assert (ear.asked, ear.compared, ear.deaf) == (times, [], [])


def test_a_link_that_hears_is_not_asked() -> None:
    async def script(ear: Ear) -> None:
        for second in range(50, 500, 50):
            await ear.until(second)
            ear.probe.heard()

    assert hearing(script).asked == []


def test_one_that_has_what_is_newest_is_well() -> None:
    async def script(ear: Ear) -> None:
        ear.say("a")
        ear.inbox.add("a")
        await ear.until(200.0)

    ear = hearing(script)
    assert (ear.compared, ear.deaf, ear.facts) == ([], [], [])


def test_one_that_has_missed_a_message_is_replaced_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(ear: Ear) -> None:
        ear.say("a")
        await ear.until(75.0)

    ear = hearing(script)
    assert ear.compared == [(65.0, SINCE + 1)]
    assert ear.deaf == [(65.0, 1)]
    assert ear.facts == [FoundDeaf(ME, replaced=True)]
    assert "link hears nothing" in caplog.text


@pytest.mark.parametrize(
    "above",
    [{"type": 2, "groupConversation": {"modifyTime": SINCE}}, listed("2", SINCE + 10**12, "b")],
    ids=["a group", "a conversation that changed without a message"],
)
def test_what_stands_above_it_in_the_list_hides_no_missed_message(above: Any) -> None:
    async def script(ear: Ear) -> None:
        ear.inbox.add("b")
        ear.above = [above]
        await ear.until(61.0)
        ear.say("a")
        await ear.until(130.0)

    ear = hearing(script)
    assert ear.compared == [(125.0, SINCE + 1)]
    assert ear.deaf == [(125.0, 1)]


def test_what_was_compared_when_the_link_was_caught_up_is_not_looked_at() -> None:
    """It may be from before the account's time, or forgotten."""

    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        ear.above = [listed("2", SINCE - 1, "forgotten")]
        await ear.until(80.0)

    ear = hearing(script)
    assert (ear.asked, ear.compared) == ([60.0], [])


def test_a_push_that_was_on_its_way_proves_that_the_link_hears() -> None:
    async def script(ear: Ear) -> None:
        ear.say("a")
        await ear.until(62.0)
        ear.probe.heard()  # stored a little later
        await ear.until(100.0)

    ear = hearing(script)
    assert (ear.compared, ear.deaf) == ([], [])


def test_a_message_beside_which_another_was_pushed_is_looked_for_in_the_next_silence() -> None:
    async def script(ear: Ear) -> None:
        ear.say("a")
        await ear.until(62.0)
        ear.probe.heard()
        await ear.until(180.0)

    ear = hearing(script)
    assert [since for _, since in ear.compared] == [SINCE + 1]


def test_a_push_during_the_comparison_proves_that_the_link_hears() -> None:
    async def script(ear: Ear) -> None:
        ear.say("a")
        ear.meanwhile = ear.probe.heard
        await ear.until(100.0)

    ear = hearing(script)
    assert (len(ear.compared), ear.deaf) == (1, [])


@pytest.mark.parametrize("name", ["own", None])
def test_what_no_push_need_have_brought_is_compared_once_and_proves_nothing(
    name: str | None,
) -> None:
    """The account's own words from a phone, or a change without a message."""

    async def script(ear: Ear) -> None:
        ear.say(name or "", others=0)
        if name is None:
            ear.found = Recovery()
        await ear.until(500.0)

    ear = hearing(script)
    assert (len(ear.compared), ear.deaf, ear.facts) == (1, [], [])


def test_a_session_that_is_gone_is_deaf() -> None:
    async def script(ear: Ear) -> None:
        ear.trouble = GONE
        await ear.until(70.0)

    ear = hearing(script)
    assert (ear.compared, ear.deaf) == ([], [(60.0, 1)])


@pytest.mark.parametrize("trouble", [THROTTLED, REJECTED, UNANSWERED])
def test_a_question_that_is_not_answered_proves_nothing_and_is_not_repeated_at_once(
    trouble: RequestError,
) -> None:
    async def script(ear: Ear) -> None:
        ear.say("a")
        ear.trouble = trouble
        await ear.until(125.0)
        ear.trouble = None
        await ear.until(186.0)

    ear = hearing(script)
    assert ear.asked == [60.0, 120.0, 180.0]
    assert ear.deaf == [(185.0, 1)]


def test_links_that_are_all_deaf_are_replaced_sparingly_and_missed_messages_fetched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(ear: Ear) -> None:
        for link in range(1, 16):
            ear.probe.begin(link, None)
            ear.say(str(link))
            await ear.until(ear.now + 66.0)

    ear = hearing(script)
    assert len(ear.compared) == 15
    assert [link for _, link in ear.deaf] == [1, 11]
    assert [fact for fact in ear.facts if fact == FoundDeaf(ME, replaced=True)] == ear.facts[::10]
    assert "new link hears nothing either" in caplog.text


def test_a_link_that_could_not_be_replaced_is_not_said_to_be_and_bars_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(ear: Ear) -> None:
        ear.replaceable = False
        ear.say("a")
        await ear.until(70.0)
        assert ear.facts == [FoundDeaf(ME, replaced=False)]
        assert "it is replaced" not in caplog.text
        ear.replaceable = True
        ear.say("b")
        await ear.until(140.0)

    assert hearing(script).facts[1:] == [FoundDeaf(ME, replaced=True)]


def test_a_session_that_is_gone_before_the_account_is_caught_up_is_replaced_sparingly() -> None:
    async def script(ear: Ear) -> None:
        ear.probe.end()
        for second in range(0, 1300, 6):
            await ear.until(float(second))
            ear.probe.useless(1)

    ear = hearing(script)
    assert [time for time, _ in ear.deaf] == [0.0, 600.0, 1200.0]
    assert len(ear.facts) == 22


def test_a_link_that_has_heard_meanwhile_is_replaced_at_once() -> None:
    async def script(ear: Ear) -> None:
        for link in (1, 2):
            ear.probe.begin(link, None)
            ear.probe.heard()
            ear.say(str(link))
            await ear.until(ear.now + 66.0)

    assert len(hearing(script).deaf) == 2


def test_whatever_goes_wrong_the_probe_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def script(ear: Ear) -> None:
        ear.say("a")
        ear.trouble = ValueError("words")
        await ear.until(70.0)
        ear.trouble = None
        await ear.until(200.0)

    assert len(hearing(script).deaf) == 1
    assert "a look at the lists failed" in caplog.text
    assert "words" not in caplog.text


def test_nothing_is_asked_over_a_link_that_is_over() -> None:
    async def script(ear: Ear) -> None:
        await ear.until(59.0)
        ear.probe.end()
        await ear.until(500.0)

    ear = hearing(script)
    assert (ear.asked, ear.compared) == ([], [])


def test_a_link_that_was_caught_up_is_compared_once_more_though_it_hears() -> None:
    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        ear.say("swallowed")
        for second in range(1, 300):
            await ear.until(second)
            ear.probe.heard()
        assert ear.probe.doubt is None

    ear = hearing(script)
    assert ear.compared == [(95.0, SINCE)]
    assert ear.deaf == []  # the link hears, whoever got the message


@pytest.mark.parametrize("heard", [False, True])
def test_what_the_second_look_finds_in_a_silence_counts_when_that_ends(heard: bool) -> None:
    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        await ear.until(80.0)
        ear.say("a")
        await ear.until(100.0)
        assert ear.deaf == []
        if heard:
            ear.probe.heard()
        await ear.until(200.0)

    ear = hearing(script)
    assert ear.compared == [(95.0, SINCE + 1), (95.0, SINCE)]
    assert ear.deaf == ([] if heard else [(120.0, 2)])


def test_the_end_of_another_link_puts_no_second_look_off_and_has_its_own() -> None:
    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        await ear.until(50.0)
        ear.probe.other_ended(SINCE + 40_000)
        await ear.until(200.0)

    assert hearing(script).compared == [(90.0, SINCE), (140.0, SINCE + 40_000)]


def test_links_that_end_again_and_again_put_no_second_look_off() -> None:
    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        for end in range(80, 500, 80):
            await ear.until(float(end))
            ear.probe.heard()
            ear.probe.other_ended(SINCE + 1000 * end)

    later = [(end + 90.0, SINCE + 1000 * end) for end in (80, 160, 240, 320)]
    assert hearing(script).compared == [(90.0, SINCE), *later]


def test_a_link_that_ends_while_lists_are_compared_for_the_next_one_stays_in_doubt() -> None:
    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        await ear.until(50.0)
        ear.probe.end()
        ear.probe.other_ended(SINCE + 45_000)
        ear.probe.begin(3, SINCE + 50_000)
        await ear.until(200.0)

    assert hearing(script).compared == [(140.0, SINCE + 45_000)]


def test_a_comparison_that_reached_back_to_what_is_in_doubt_need_not_be_made_again() -> None:
    """Links that end before they are caught up would have each comparison read further back."""

    async def script(ear: Ear) -> None:
        ear.probe.other_ended(SINCE + 40_000)
        ear.probe.compared(SINCE + 50_000, SINCE + 90_000)
        assert ear.probe.doubt == SINCE + 40_000
        ear.probe.compared(SINCE + 40_000, SINCE + 90_000)
        await ear.until(100.0)

    assert hearing(script).compared == [(90.0, SINCE + 90_000)]


def test_a_link_that_ends_beside_one_that_was_looked_at_is_looked_for_too() -> None:
    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        await ear.until(100.0)
        ear.probe.other_ended(SINCE + 90_000)
        await ear.until(300.0)

    assert hearing(script).compared == [(90.0, SINCE), (190.0, SINCE + 90_000)]


def test_what_is_in_doubt_when_a_link_ends_stays_so_until_the_next_is_caught_up() -> None:
    async def script(ear: Ear) -> None:
        ear.probe.begin(2, SINCE)
        await ear.until(50.0)
        ear.probe.end()
        await ear.until(500.0)
        assert ear.probe.doubt == SINCE
        ear.probe.begin(3, SINCE + 500_000)
        assert ear.probe.doubt == SINCE + 500_000

    assert hearing(script).compared == []
