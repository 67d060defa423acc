"""Tells a webhook of every order notice, once the webhook can hear it.

Shows work that must not be lost and may not be done twice. The handler only writes the notice
into a queue on disk, under its key; a task takes them from there, the oldest first. While the
webhook is down it tries again after 1, 2, 4 ... 60 seconds, also after a restart, and the bot
goes on. Each call has an ``Idempotency-Key``, since a call whose answer was lost is made again.
A notice that the webhook refuses for good (a code from 300 to 499; redirects are not followed, for
they would turn the call into another one) is kept and logged.

Try it without an account, in two terminals::

    xyfast fake-server --write fake --push '[我已付款，等待你发货]'
    env $(cat fake/environment) python examples/orders.py fake/9000000000001.toml http://127.0.0.1:9000/

With your own: ``python examples/orders.py seller.toml URL``. Ctrl-C stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import sqlite3
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from xyfast import Account, Client, OrderNotice, Settings

log = logging.getLogger("orders")

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds
LATER = (408, 425, 429)  # codes that ask for another try


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes redirects errors."""

    def redirect_request(self, *words: Any, **options: Any) -> None:
        """Follow nowhere."""


class Queue:
    """Notices on their way to the webhook, in a file. A URL that cannot be one is a ValueError."""

    def __init__(self, path: str, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if not usable or not (url.isascii() and url.isprintable()) or " " in url:
            raise ValueError("the webhook is no http:// or https:// URL")
        self._url = url
        self._opener = urllib.request.build_opener(NoRedirects)
        self._more = asyncio.Event()
        self._db = sqlite3.connect(path)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS notice (number INTEGER PRIMARY KEY, key TEXT UNIQUE,"
            " body TEXT, state TEXT DEFAULT 'waiting')"
        )

    def put(self, notice: OrderNotice) -> None:
        """Keep a notice; one that is there already stays as it is."""
        key = f"{notice.account_id}:{notice.key}"
        body = {
            "key": key,
            "account": notice.account_id,
            "conversation": notice.conversation_id,
            "order": notice.order_id,  # look it up there before shipping: see OrderNotice
            "text": notice.red_reminder or notice.text,
            "time": notice.time,
        }
        with self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO notice (key, body) VALUES (?, ?)", (key, json.dumps(body))
            )
        self._more.set()

    async def run(self) -> None:
        """Tell the webhook of one after the other, for ever."""
        wait = FIRST_WAIT
        while True:
            self._more.clear()
            first = self._db.execute(
                "SELECT number, key, body FROM notice WHERE state = 'waiting' ORDER BY number"
            ).fetchone()
            if first is None:
                await self._more.wait()
                continue
            number, key, body = first
            try:
                state = await asyncio.to_thread(self._post, key, body)
            # It is down, or too slow, answers what is no HTTP, or asks for another try.
            except (OSError, http.client.HTTPException) as error:
                log.warning("webhook did not take %s, next try in %g s: %s", key, wait, error)
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            with self._db:
                self._db.execute("UPDATE notice SET state = ? WHERE number = ?", (state, number))

    def _post(self, key: str, body: str) -> str:
        request = urllib.request.Request(
            self._url,
            data=body.encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
        )
        try:
            with self._opener.open(request, timeout=10.0):
                return "done"
        except urllib.error.HTTPError as error:
            error.close()
            if 300 <= error.code < 500 and error.code not in LATER:
                log.error("webhook refuses %s for good: %s", key, error)
                return "refused"
            raise


def add_handlers(client: Client, queue: Queue) -> None:
    """Register what the bot does; tests give a client of their own."""

    @client.on(OrderNotice)
    async def keep(notice: OrderNotice) -> None:
        queue.put(notice)


async def main(account_file: str, url: str) -> None:
    """Run until SIGTERM or Ctrl-C; variables such as XYFAST_URL say where, else the platform."""
    queue = Queue("orders-queue.db", url)
    client = Client(store="orders.db", settings=Settings.load())
    add_handlers(client, queue)
    await client.add(Account.from_file(account_file))
    telling, running = asyncio.create_task(queue.run()), asyncio.create_task(client.run())
    await asyncio.wait([telling, running], return_when=asyncio.FIRST_COMPLETED)
    if telling.done():  # its disk is full, say
        log.critical("cannot go on telling the webhook: the bot stops")
    telling.cancel()
    await client.close()
    await running
    with contextlib.suppress(asyncio.CancelledError):
        await telling  # raises what ended it


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {sys.argv[0]} ACCOUNT.toml URL")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:3]))
