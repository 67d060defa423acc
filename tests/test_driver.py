"""What a driver keeps of its account, on a wire in memory and a virtual clock."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from simulation.loop import simulate
from wire import ME, working
from xyfast import Account
from xyfast.errors import StoreError
from xyfast.store import MemoryStore


class Forgetful(MemoryStore):
    """Keeps session material only while it works."""

    works = True
    tries = 0

    async def save_session(self, account_id: str, blob: str) -> None:
        self.tries += 1
        if not self.works:
            raise StoreError("no")
        await super().save_session(account_id, blob)


def account(name: str) -> Account:
    return Account.from_cookies(f"unb={ME}; _m_h5_tk={name}_1; cookie2=b")


def test_new_cookies_are_saved_once_the_store_works_the_last_ones_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        store = Forgetful()
        async with working(store) as desk:
            await desk.client.add(account("first"))
            store.works, before = False, store.tries
            for name in ("second", "third"):
                desk.client.replace_credentials(account(name))
                await asyncio.sleep(5.0)
            assert before < store.tries <= before + 11  # one at a time, each second
            store.works = True
            await asyncio.sleep(2.0)
            kept = json.loads((await store.load(ME)).session or "")
            assert kept["cookies"]["_m_h5_tk"] == "third_1"
            done = store.tries
            await asyncio.sleep(5.0)
            assert store.tries == done

    simulate(main())
    told = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.getMessage().partition(" (")[0] for r in told] == ["session material not saved yet"]


def test_what_was_not_saved_is_saved_at_the_end_and_nothing_is_tried_after_it() -> None:
    async def main() -> None:
        store = Forgetful()
        async with working(store) as desk:
            await desk.client.add(account("first"))
            store.works = False
            desk.client.replace_credentials(account("second"))
            await asyncio.sleep(5.5)
            store.works = True
        done = store.tries
        desk.client.replace_credentials(account("third"))
        await asyncio.sleep(10.0)
        assert not asyncio.all_tasks() - {asyncio.current_task()}
        assert store.tries == done
        await store.open()
        kept = json.loads((await store.load(ME)).session or "")
        assert kept["cookies"]["_m_h5_tk"] == "second_1"

    simulate(main())


def test_a_client_whose_store_fails_can_be_closed() -> None:
    async def main() -> None:
        store = Forgetful()
        async with working(store) as desk:
            await desk.client.add(account("first"))
            store.works = False
            desk.client.replace_credentials(account("second"))
            await asyncio.sleep(5.0)
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    simulate(main())
