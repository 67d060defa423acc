"""The Rust module: codec, dedup, frames and links."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, final

from typing_extensions import Buffer  # only read by type checkers

from xyfast.errors import DecodeError

build_profile: Final[str]
"""``"release"`` or ``"debug"``; timings of a debug build mean nothing."""

def decrypt(payload: object, /) -> str:
    """Return the text that the pure-Python ``decrypt`` of existing bots returns.

    The base64 text is decoded forgivingly, one MessagePack value is read from it, and a
    map becomes JSON text as ``json.dumps(value, ensure_ascii=False)`` writes it; any other
    value becomes its ``str()``. Bytes-like payloads are taken as ASCII text, payloads of
    any other type as their ``str()``.

    Raises `DecryptError`, a ValueError whose text starts with ``解密失败: ``, with
    ``reason`` and ``offset``.

    >>> decrypt("ggGmMTIzNDU2AqjkvaDlpb0hIQ==")
    '{"1": "123456", "2": "你好!!"}'
    """

def decode(payload: str | Buffer, /, *, max_depth: int = 512) -> dict[str, Any]:
    """Return a payload as a dict with str keys.

    This is what ``json.loads(decrypt(payload))`` returns, without the way through text:
    keys are spelled as in JSON, bytes are text, and where names collide the last one wins.

    Raises `DecodeError` if the payload cannot be decoded or holds something else than a
    map, TypeError if it is neither str nor bytes-like.

    >>> decode("gQGhYQ==")
    {'1': 'a'}
    """

def unpackb(data: Buffer, /, *, strict_map_key: bool = True, max_depth: int = 512) -> Any:
    r"""Return the one value that MessagePack data holds, as ``msgpack.unpackb`` does.

    Arrays become lists, extension types `ExtType`, timestamps `Timestamp`. Map keys must
    be str or bytes unless ``strict_map_key`` is False; lists and dicts are never keys.

    Raises `ExtraData` if more data follows the value, else `DecodeError`. No length is
    believed that the data cannot hold.

    >>> unpackb(b"\x82\xa1a\x01\xa1b\x90")
    {'a': 1, 'b': []}
    """

def packb(value: object, /, *, max_depth: int = 512) -> bytes:
    r"""Return a value as MessagePack, in the shortest form, as ``msgpack.packb`` does.

    Takes None, bool, int within 64 bits, float, str, bytes, bytearray, memoryview, list,
    tuple, dict, `ExtType`, `Timestamp` and subclasses of these.

    Raises `EncodeError` for anything else, and for values nested more deeply than
    ``max_depth``.

    >>> packb({"a": [1, None]})
    b'\x81\xa1a\x92\x01\xc0'
    """

def b64decode(data: str | Buffer, /, *, strict: bool = True) -> bytes:
    r"""Return the bytes of base64 text in the standard alphabet.

    Strictly, only the one text that `b64encode` returns for the bytes is taken. With
    ``strict=False`` the text is taken as `decrypt` takes it: foreign characters are
    skipped, what follows the padding is ignored, missing padding is repaired.

    Raises `DecodeError`; its ``offset`` counts characters.

    >>> b64decode("gQGhYQ==")
    b'\x81\x01\xa1a'
    """

def b64encode(data: Buffer, /) -> str:
    r"""Return bytes as padded base64 text in the standard alphabet.

    >>> b64encode(b"\x81\x01\xa1a")
    'gQGhYQ=='
    """

def pick(payload: str | Buffer, paths: Sequence[str], /) -> tuple[Any, ...]:
    """Return the values at some paths of a payload, without building the rest.

    A path names the keys from the top, spelled as `decode` spells them, with dots between
    them; lists are not entered. A value is what `decode` would hold there, or None where
    nothing is. The whole payload is checked all the same.

    Raises what `decode` raises.

    >>> pick("gQGBAqF4", ["1.2", "1", "9"])
    ('x', {'2': 'x'}, None)
    """

@final
class DedupCache:
    """A bounded set of ids that forgets by age.

    An id is known for ``ttl`` seconds from its first sight; seeing it again does not make
    it younger. Of more than ``maxsize`` ids the oldest are forgotten. Ids are told apart by
    128 bits of a keyed hash; an id takes about 40 bytes, however long it is. Memory is taken
    as ids come. ``clock`` returns seconds; the default is monotonic and on Linux moves with
    the system's tick, every 1 to 10 ms. If a clock goes back, time stands still until it has
    caught up. Threads may share a cache.

    Raises ValueError if ``maxsize`` is not 1 to 2**31 or ``ttl`` is not above 0.

    >>> cache = DedupCache(maxsize=1000, ttl=60.0)
    >>> cache.seen("a"), cache.seen("a")
    (False, True)
    """

    def __new__(
        cls,
        maxsize: int = 10_000,
        ttl: float = 3600.0,
        *,
        clock: Callable[[], float] | None = None,
    ) -> DedupCache: ...
    def seen(self, key: str, /) -> bool:
        """Return True if the id is known; otherwise remember it and return False.

        Raises MemoryError, and remembers nothing, if there is no memory for one more.
        """

    def add(self, key: str, /) -> None:
        """Remember the id, unless it is known; raises what `seen` raises."""

    def __contains__(self, key: object, /) -> bool:
        """Return whether the id is known, without remembering it."""

    def __len__(self) -> int:
        """Return the number of ids that are known now."""

@final
class Payload:
    """One entry of a push: what it holds, or why that could not be found out."""

    @property
    def text(self) -> str | None:
        """The payload as it was sent; None if the entry has none."""
    @property
    def tree(self) -> Any:
        """What the payload means, maps with str keys; None if there is an `error`."""
    @property
    def error(self) -> DecodeError | None:
        """Why there is no tree."""
    @property
    def stage(self) -> Literal["missing", "base64", "json", "msgpack"] | None:
        """Where decoding failed; None if it did not."""

@final
class Frame:
    """A frame from the server. Its repr shows sizes, never texts."""

    @property
    def kind(self) -> Literal["push", "answer", "kick", "session_removed"]:
        """What the frame is."""
    @property
    def link(self) -> int:
        """The link that received it; 0 for a frame of `parse_frame`."""
    @property
    def lwp(self) -> str | None:
        """The path."""
    @property
    def code(self) -> int | None:
        """The result code of an answer."""
    @property
    def mid(self) -> str | None:
        """The id that pairs request and answer."""
    @property
    def max_pts(self) -> int | None:
        """The position behind the frame's package, in microseconds."""
    @property
    def timestamp(self) -> int | None:
        """The server's time at which the package was made, in milliseconds."""
    @property
    def has_more(self) -> bool:
        """Whether the package says that more will follow."""
    @property
    def resync(self) -> bool:
        """Whether the server says that the gap is too long to be replayed."""
    @property
    def payloads(self) -> list[Payload]:
        """The entries of the package, decoded when first looked at."""
    @property
    def ack(self) -> str | None:
        """The text that acknowledges the frame; None for what is not acknowledged."""
    @property
    def text(self) -> str:
        """The whole text."""
    @property
    def size(self) -> int:
        """The bytes of the text in UTF-8."""
    @property
    def headers(self) -> str:
        """The headers as JSON text."""
    @property
    def body(self) -> str | None:
        """The body as JSON text; None if there is none, or null."""

def parse_frame(text: str, /) -> Frame:
    """Read one frame's text.

    Raises `DecodeError` with reason ``"json"``, ``"depth"`` or ``"envelope"``; its offset
    counts the bytes of the text in UTF-8.
    """

def read_payload(text: str, /) -> Payload:
    """Read one payload's text as it stands in a push. What is wrong with it is its `error`."""

@final
class Opened:
    """A link is registered: from now on it takes acks and requests."""

    @property
    def link(self) -> int:
        """The link."""
    @property
    def answer(self) -> Frame:
        """The server's answer to the registration."""

@final
class Closed:
    """A link ended. Every dialled link ends exactly once, and nothing of it follows."""

    @property
    def link(self) -> int:
        """The link."""
    @property
    def trouble(self) -> Literal["closed", "link", "deaf", "network", "refused", "protocol"]:
        """Why it ended.

        ``"closed"``: by `close` or `shutdown`. ``"link"``: it broke, fell silent, or the
        server closed it. ``"deaf"``: its heartbeats were answered with refusals, so its
        session is gone. ``"network"``: the server could not be reached or did not answer.
        ``"refused"``: the server refused the handshake or the registration.
        ``"protocol"``: the server broke the protocol or a limit.
        """
    @property
    def reason(self) -> str:
        """A short sentence without secrets."""
    @property
    def code(self) -> int | None:
        """Code of the close frame, HTTP status of a refused handshake, or code of `answer`."""
    @property
    def answer(self) -> Frame | None:
        """The answer that refused the registration."""

@final
class Invalid:
    """A link received something that is no envelope; the link goes on."""

    @property
    def link(self) -> int:
        """The link."""
    @property
    def reason(self) -> str:
        """``"json"``, ``"depth"``, ``"envelope"`` or ``"utf8"``."""
    @property
    def offset(self) -> int:
        """The byte of the frame at which that shows."""
    @property
    def size(self) -> int:
        """The bytes of the frame."""

@final
class Links:
    """Links to the server, run by a thread that never waits for Python.

    Everything that happens is put into one mailbox, which `drain` empties. The object
    belongs to the process that made it; in a forked child its methods raise `StateError`.
    Dropping it is a `shutdown`.
    """

    def __init__(self) -> None: ...
    def fileno(self) -> int:
        """Return the descriptor that is readable while `drain` has something to give."""
    def dial(
        self,
        link: int,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        register: str,
        heartbeat: float = 15.0,
        timeout: float = 30.0,
        misses: int = 3,
        open_timeout: float = 10.0,
        close_timeout: float = 5.0,
        max_message: int = 4_194_304,
        max_frame: int = 1_048_576,
        max_pushes: int = 1024,
        max_bytes: int = 8_388_608,
        allow_plain: bool = False,
        roots: str | None = None,
    ) -> None:
        """Start a link under a number that no living link has.

        The link connects, sends the text `register` and is open when that is answered with
        code 200, all within `open_timeout`; then it beats every `heartbeat` seconds. It ends
        when no heartbeat was answered with code 200 for `timeout` seconds, or `misses`
        answers in a row had another code. Reading pauses while the mailbox holds
        `max_pushes` frames or `max_bytes` bytes of the link; the heartbeat goes on.

        `url` is ``wss://``, or ``ws://`` to this machine unless `allow_plain`. Certificates
        are verified against the system's roots and those in `roots`, a PEM text.

        The number is free again when `drain` has given the link's `Closed`. Raises
        `ConfigError` for an argument that cannot work and `StateError` for a number in use.
        """
    def drain(self, most: int = 256, /) -> list[Opened | Frame | Invalid | Closed]:
        """Return what happened, oldest first and at most so many things, without waiting."""
    def ack(self, frames: Sequence[Frame], /) -> int:
        """Acknowledge frames over the links they came from; return how many acks were written.

        Frames of links that are not open any more, and frames that want no ack, are skipped.
        """
    def send(self, link: int, text: str, /) -> bool:
        """Send a text; False if the link is not open, and the text surely did not go out.

        Raises `ConfigError` for a text of more than 1 MiB.
        """
    def close(self, link: int, /, *, code: int = 1000) -> None:
        """Close a link with a close frame, or give up opening it; `Closed` follows.

        Raises `ConfigError` for a code that is neither 1000 nor 3000 to 4999.
        """
    def stats(self, link: int, /) -> dict[str, float] | None:
        """Return the counters of a link; None unless it is open.

        ``rtt`` (seconds of the last round trip of a heartbeat, at first of the registration),
        ``beats``, ``answered``, ``pushes``, ``bytes_in`` and ``paused`` (1 or 0).
        """
    def shutdown(self) -> None:
        """End all links at once, without a close handshake; a `Closed` follows for each."""
