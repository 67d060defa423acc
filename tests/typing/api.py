"""Never run, only type-checked: what an editor infers for users of the package."""

from __future__ import annotations

import io
from typing import Any

from typing_extensions import assert_type

import xyfast
import xyfast.codec as msgpack
from xyfast import (
    Account,
    ChatMessage,
    Client,
    Config,
    CredentialSource,
    DedupCache,
    EncryptedSecretStore,
    Expired,
    FileSecretStore,
    Gap,
    Message,
    Retention,
    Router,
    Secret,
    Secrets,
    SecretStore,
    Sent,
    Settings,
    SqliteStore,
    State,
    Store,
    Token,
    TokenProvider,
    codec,
)
from xyfast.recording import Recorder
from xyfast.testing import FakeServer, Kit, play
from xyfast.transport import RustTransport

assert_type(xyfast.decrypt("ggGhYQ=="), str)
assert_type(xyfast.decode(b"ggGhYQ=="), dict[str, Any])
assert_type(codec.decrypt_many(["ggGhYQ=="]), list[str])
assert_type(
    codec.decode_many(iter([b"ggGhYQ=="]), return_exceptions=True),
    list[dict[str, Any] | Exception],
)
assert_type(xyfast.pick("ggGhYQ==", ["1.10.reminderContent"]), tuple[Any, ...])
assert_type(codec.Picker("1.2")(b"ggGhYQ=="), tuple[Any, ...])
assert_type(codec.Picker("1.2").paths, tuple[str, ...])
assert_type(codec.decode_frame('{"headers":{}}'), list[dict[str, Any]])
assert_type(
    codec.decode_frame(b'{"headers":{}}', return_exceptions=True),
    list[dict[str, Any] | Exception],
)
assert_type(xyfast.packb({"a": [1, None]}), bytes)
assert_type(xyfast.b64encode(memoryview(b"a")), str)
assert_type(msgpack.unpackb(b"\x80", object_hook=dict, timestamp=3), Any)
unpacker = msgpack.Unpacker(io.BytesIO(), use_list=False, ext_hook=msgpack.ExtType)
assert_type(list(unpacker), list[Any])
assert_type(unpacker.read_bytes(unpacker.tell()), bytes)
assert_type(DedupCache(maxsize=10, ttl=1.0).seen("id"), bool)

store: Store = SqliteStore("xyfast.db")
client = Client(store=store)


@client.on(ChatMessage)
async def answer(message: ChatMessage) -> None:
    assert_type(message.text, str)
    assert_type(await message.reply("x"), Sent)


@client.on(Message)
async def everything(message: Message) -> str | None:
    return message.conversation_id


@client.on(Expired)
async def late(expired: Expired) -> None:
    assert_type(expired.message, Message)


@client.on(Gap)
async def missed(gap: Gap) -> None:
    assert_type(gap.start, int)


@client.on(Gap)  # type: ignore[arg-type]
async def wrong(message: ChatMessage) -> None: ...


def add_handlers(client: Client) -> None: ...


class Tokens:
    async def token(self, account: Account, keep: object, /) -> Token:
        return Token("value")


class Human:
    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        return None


tokens: TokenProvider = Tokens()
human: CredentialSource = Human()


async def main() -> None:
    await client.add(Account.from_file("seller.toml"))
    assert_type(client.state("9000000000001"), State)
    assert_type(client.accounts, tuple[Account, ...])
    assert_type(await client.history("9000000000001", "70000000011"), list[Message])
    async with FakeServer(["9000000000001"]) as server:
        assert_type(server.url, str)
    async with Kit(FakeServer(["9000000000001"])) as kit:
        assert_type(await kit.start(add_handlers, settings={"grace": 1.0}), Client)
        assert_type(kit.buyer().say("x"), str)
        assert_type(await kit.buyer().ask("x"), str)
        assert_type(await kit.handled("key"), str | None)
        assert_type(await play(kit.server, "traffic.jsonl"), list[str])
    recorder = Recorder("traffic.jsonl", RustTransport(Settings()))
    assert_type(Client(transport=recorder), Client)


account = Account({"unb": "9000000000001", "a": Secret("b")}, "device", proxy=Secret("http://c:1"))
assert_type(account.cookies["a"], Secret)
assert_type(account.device_id, Secret | None)
assert_type(Token("value").value, Secret)
assert_type(Token(Secret("value"), 5.0).value.reveal(), str)
assert_type(Settings(proxy="http://127.0.0.1:1").proxy, str | Secret | None)
assert_type(xyfast.redact("text"), str)
secrets: SecretStore = FileSecretStore("secrets")
secrets = EncryptedSecretStore("secrets", key=Secret("key"))
Client(secrets=secrets)
Client(secrets="secrets")

config = Config.load("xyfast.toml", environ={})
assert_type(config.settings, Settings)
assert_type(config.retention, Retention)
assert_type(config.accounts(), tuple[Account, ...])
assert_type(config.make_store(), SqliteStore)
assert_type(config.secrets, Secrets)
assert_type(config.make_secrets(), FileSecretStore | None)
assert_type(Client(secrets=config.make_secrets()).keeps_secrets_apart, bool)
assert_type(Settings.load(None, grace=5.0), Settings)
Client(store=config.make_store(), settings=config.settings, router=Router())
