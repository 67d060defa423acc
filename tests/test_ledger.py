"""How far an account has got."""

from __future__ import annotations

from xyfast.ledger import Ledger


def test_a_position_rises_and_never_falls() -> None:
    ledger = Ledger()
    seen = []
    for pts in (None, 20, 10, None, 30):
        ledger.stored(pts)
        seen.append(ledger.received)
    assert seen == [None, 20, 20, 20, 30]


def test_an_account_goes_on_from_what_is_kept() -> None:
    ledger = Ledger(20)
    ledger.stored(10)
    assert ledger.received == 20
