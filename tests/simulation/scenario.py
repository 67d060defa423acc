"""What a seed stands for: settings of client and server, and a script of trouble."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from xyfast.config import Settings
from xyfast.testing import OldToken, Redelivery, RepeatedUuid, Replay, SecondLink, ServerSettings

__all__ = ["FINALES", "TROUBLES", "UNHEARD", "Moment", "Scenario"]

ACCOUNTS = ("9000000000001", "9000000000002")
CONVERSATIONS = ("70000000011", "70000000012", "70000000013")

TROUBLES = {
    "crash": 3,
    "crash at seam": 5,
    "restart": 3,
    "reset": 4,
    "server closes": 2,
    "half-open": 2,
    "stall": 2,
    "server down": 2,
    "black hole": 1,
    "duplicates": 2,
    "bad payloads": 1,
    "lost acks": 2,
    "lost answer": 2,
    "deaf": 1,
    "unauthorised": 1,
    "refused": 1,
    "limited": 1,
    "flow control": 2,
    "send trouble": 2,
    "token trouble": 2,
    "token expires": 1,
    "kick": 1,
    "too long": 2,
    "credentials": 1,
    "store fails": 3,
    "store down": 2,
    "store full": 2,
    "store slow": 2,
    "clock jumps": 1,
}
"""What can go wrong, and how often beside the others."""

UNHEARD = ("mute", "position refused", "position unanswered")
"""What else can: servers that answer heartbeats, and not what an account asks for."""

FINALES = ("zombies", "swallowed", "deaf for good")
"""Tests of the client's hearing in good weather, when all else is over."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens at a time (seconds of the loop). ``size`` says how much of it."""

    time: float
    what: str
    account: str
    conversation: str
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One simulation, drawn from its seed; see `Scenario.draw`."""

    seed: int
    accounts: tuple[str, ...]
    settings: Settings
    server: ServerSettings
    clock_shift: float
    encore: bool
    """Whether the client is started once more when all is over."""
    moments: tuple[Moment, ...]
    keep: float
    """Seconds for which the store remembers what was handled."""
    canary: str
    finale: str | None = None
    """One of `FINALES`."""

    @staticmethod
    def draw(seed: int) -> Scenario:
        """The scenario of ``seed``."""
        dice = random.Random(seed)
        accounts = ACCOUNTS[: dice.choice((1, 2, 2))]
        length = dice.uniform(20.0, 90.0)
        moments = []
        for _ in range(dice.randint(5, 25)):
            moments.append(_moment(dice, "push", length, accounts))
        names, weights = zip(*TROUBLES.items(), strict=True)
        for what in dice.choices(names, weights, k=dice.randint(0, 6)):
            moments.append(_moment(dice, what, length, accounts))
        hearing = random.Random(f"{seed}:hearing")
        for _ in range(hearing.choice((0, 0, 0, 1, 2))):
            moments.append(_moment(hearing, "zombie", length, accounts))
        linking = random.Random(f"{seed}:linking")
        for what in linking.choices(("replaced", "slept"), k=linking.choice((0, 0, 1, 3))):
            moments.append(_moment(linking, what, length, accounts))
        asking = random.Random(f"{seed}:asking")
        for what in asking.choices(UNHEARD, k=asking.choice((0, 0, 0, 1, 2))):
            moments.append(_moment(asking, what, length, accounts))
        settings, server = _settings(dice), _server(dice)
        settings = replace(settings, probe_after=hearing.choice((20.0, 60.0)))
        listing = random.Random(f"{seed}:listing")
        if listing.random() < 0.25:  # more is missed than is read, so that there are gaps
            settings = replace(settings, history_pages=1)
            for what in ("flood", "flood", "server down"):
                moments.append(_moment(listing, what, length, accounts))
        if listing.random() < 0.1:
            for what in ("garbled", "garbled", "store fails"):
                moments.append(_moment(listing, what, length, accounts))
        finale = hearing.choice((None, None, *FINALES))
        if finale == "swallowed":
            server = replace(server, same_device=SecondLink.SHARE)
        return Scenario(
            seed=seed,
            accounts=accounts,
            settings=settings,
            server=server,
            clock_shift=dice.choice((0.0, 0.0, 400.0, -400.0)),
            encore=dice.random() < 0.25,
            moments=tuple(sorted(moments, key=lambda moment: moment.time)),
            keep=dice.choice((30.0, 604_800.0)),
            canary="秘密",
            finale=finale,
        )


def _moment(dice: random.Random, what: str, length: float, accounts: tuple[str, ...]) -> Moment:
    return Moment(
        dice.random() * length,
        what,
        dice.choice(accounts),
        dice.choice(CONVERSATIONS),
        dice.random(),
    )


def _settings(dice: random.Random) -> Settings:
    heartbeat = dice.choice((10.0, 15.0))
    return Settings(
        heartbeat=heartbeat,
        heartbeat_timeout=heartbeat * dice.choice((1.5, 2.0)),
        heartbeat_misses=dice.choice((1, 3)),
        open_timeout=dice.choice((3.0, 10.0)),
        close_timeout=dice.choice((1.0, 5.0)),
        mailbox_frames=dice.choice((2, 1024)),
        token_refresh=dice.choice((30.0, 72_000.0)),
        token_retry=dice.choice((5.0, 60.0)),
        token_timeout=5.0,
        healthy_after=dice.choice((5.0, 30.0)),
        max_failures=dice.choice((2, 5)),
        failed_wait=30.0,
        request_timeout=dice.choice((2.0, 20.0)),
        dedup_size=dice.choice((1, 10_000)),
        max_handlers=dice.choice((1, 2, 100)),
        handler_timeout=dice.choice((3.0, 10.0)),
        handler_retries=dice.choice((0, 2)),
        revived_every=60.0,
        retry_wait=dice.choice((0.1, 1.0)),
        backlog=dice.choice((1, 3, 1000)),
        backlog_bytes=dice.choice((1000, 1 << 24)),
        backlog_lane=dice.choice((1, 2, 16)),
        hold_most=3600.0,  # past it order is given up
        intake_bytes=dice.choice((4000, 1 << 24)),
        commit_batch=dice.choice((1, 4, 256)),
        sweep_every=10.0,
        grace=dice.choice((0.5, 10.0)),
    )


def _server(dice: random.Random) -> ServerSettings:
    return ServerSettings(
        registration_time=dice.random() < 0.8,
        greeting=dice.random() < 0.8,
        push_before_ack_diff=dice.random() < 0.7,
        replay=dice.choice(list(Replay)),
        kept=dice.choice((4, 500, 500)),
        tells_too_long=dice.random() < 0.7,
        package_size=dice.choice((2, 32)),
        state_compensates=dice.random() < 0.3,
        redelivery=dice.choice(list(Redelivery)),
        redelivery_after=dice.choice((5.0, 30.0)),
        echo_before_answer=dice.random() < 0.3,
        repeated_uuid=dice.choice(list(RepeatedUuid)),
        same_device=dice.choice(list(SecondLink)),
        other_device=dice.choice(list(SecondLink)),
        old_token=dice.choice(list(OldToken)),
        heartbeat_timeout=dice.choice((60.0, None)),
        history_inclusive=dice.random() < 0.3,
        page_splits=dice.random() < 0.3,
        quiet_time=dice.choice((0.0, 0.0, 3.0)),
        link_life=dice.choice((None, None, 25.0)),
    )
