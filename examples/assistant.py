"""Lets a language model answer, and a human where it cannot.

Shows a slow call with a time limit, what was said before as the model's context, and hand-over
when the model fails. `StandIn` is in the place of your model: give it the same method, and ask
for the whole answer at once (streaming off), since a message goes out as a whole.

The turns of a conversation are kept in memory, for the newest thousand conversations; after a
restart the model knows only what comes from then on.

Try it without an account, in two terminals::

    xyfast fake-server --write fake --push 这个能便宜点吗
    env $(cat fake/environment) python examples/assistant.py fake/9000000000001.toml

With your own: ``python examples/assistant.py seller.toml``. Ctrl-C stops it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import OrderedDict, deque
from typing import Literal, NamedTuple, Protocol

from xyfast import Account, ChatMessage, Client, Settings

log = logging.getLogger("assistant")

TIME_LIMIT = 20.0  # seconds; far below Settings.handler_timeout, or the handler is cut off first
TURNS, CONVERSATIONS = 20, 1000
HAND_OVER = "这个问题我请店主来回答，请稍等。"


class Turn(NamedTuple):
    """What one side said."""

    role: Literal["user", "assistant"]
    text: str


class Model(Protocol):
    """What this bot asks."""

    async def answer(self, turns: list[Turn]) -> str:
        """Give the next turn of a conversation; any exception is a failure."""
        ...


class StandIn:
    """Answers as though it had thought."""

    async def answer(self, turns: list[Turn]) -> str:
        """See `Model`."""
        return f"您好，关于“{turns[-1].text}”，我记得我们已经聊了 {len(turns)} 句。"


class Assistant:
    """What the model was told in each conversation, and which ones a human has."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._turns: OrderedDict[tuple[str, str | None], deque[Turn]] = OrderedDict()
        self._human: set[tuple[str, str | None]] = set()

    async def handle(self, message: ChatMessage) -> None:
        """Answer a buyer; the messages of one conversation come one at a time."""
        conversation = (message.account_id, message.conversation_id)
        if message.origin == "client":
            return
        if message.origin == "seller":  # the owner answers: it counts as ours, and the bot goes on
            self._of(conversation).append(Turn("assistant", message.text))
            self._human.discard(conversation)
            return
        if conversation in self._human:
            self._of(conversation).append(Turn("user", message.text))
            return
        asked, failed = Turn("user", message.text), False
        try:
            words = await asyncio.wait_for(
                self._model.answer([*self._of(conversation), asked]), TIME_LIMIT
            )
            if not words.strip():
                raise ValueError("the model said nothing")
        except Exception as error:
            # The class only: the words of the error may quote what the buyer wrote.
            kind = type(error).__name__
            log.warning("%s needs a human, the model failed: %s", conversation[1], kind)
            words, failed = HAND_OVER, True
        await message.reply(words, durable=True)
        # After the reply: if that raises, the handler runs again and asks the same.
        self._of(conversation).extend((asked, Turn("assistant", words)))
        if failed:
            self._human.add(conversation)

    def _of(self, conversation: tuple[str, str | None]) -> deque[Turn]:
        turns = self._turns.setdefault(conversation, deque(maxlen=TURNS))
        self._turns.move_to_end(conversation)
        if len(self._turns) > CONVERSATIONS:
            forgotten, _ = self._turns.popitem(last=False)
            self._human.discard(forgotten)
        return turns


def add_handlers(client: Client, model: Model) -> None:
    """Register what the bot does; tests give a client of their own."""
    assistant = Assistant(model)

    @client.on(ChatMessage, own=True)
    async def answer(message: ChatMessage) -> None:
        await assistant.handle(message)


async def main(account_file: str) -> None:
    """Run until SIGTERM or Ctrl-C; variables such as XYFAST_URL say where, else the platform."""
    client = Client(store="assistant.db", settings=Settings.load())
    add_handlers(client, StandIn())
    await client.add(Account.from_file(account_file))
    await client.run()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} ACCOUNT.toml")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(sys.argv[1]))
