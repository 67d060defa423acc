"""The Rust module: codec, dedup, frames and links."""

from collections.abc import Callable, Sequence
from typing import Any, Final, final

from typing_extensions import Buffer  # only read by type checkers

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
    it younger. Of more than ``maxsize`` ids the oldest are forgotten. Ids are compared
    whole. ``clock`` returns seconds; the default is monotonic. If a clock goes back, time
    stands still until it has caught up.

    Raises ValueError if ``maxsize`` is below 1 or ``ttl`` is not above 0.

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
        """Return True if the id is known; otherwise remember it and return False."""

    def add(self, key: str, /) -> None:
        """Remember the id, unless it is known."""

    def __contains__(self, key: object, /) -> bool:
        """Return whether the id is known, without remembering it."""

    def __len__(self) -> int:
        """Return the number of ids that are known now."""

@final
class Payload:
    """One entry of a push. Exactly one of ``tree`` and ``error`` is set."""

    @property
    def text(self) -> str | None: ...
    @property
    def tree(self) -> Any: ...
    @property
    def error(self) -> Exception | None: ...

@final
class Frame:
    @property
    def kind(self) -> str: ...
    @property
    def link(self) -> int: ...
    @property
    def lwp(self) -> str | None: ...
    @property
    def code(self) -> int | None: ...
    @property
    def mid(self) -> str | None: ...
    @property
    def max_pts(self) -> int | None: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def has_more(self) -> bool: ...
    @property
    def resync(self) -> bool: ...
    @property
    def payloads(self) -> list[Payload]: ...
    @property
    def ack(self) -> str | None: ...
    @property
    def text(self) -> str: ...
    @property
    def headers(self) -> str: ...
    @property
    def body(self) -> str | None: ...

def parse_frame(text: str, /) -> Frame: ...

@final
class Opened:
    """A link is registered. ``answer`` is the server's answer to /reg."""

    @property
    def link(self) -> int: ...
    @property
    def answer(self) -> Frame: ...

@final
class Closed:
    @property
    def link(self) -> int: ...
    @property
    def trouble(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def code(self) -> int | None: ...
    @property
    def answer(self) -> Frame | None: ...

@final
class Invalid:
    @property
    def link(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...

@final
class Links:
    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
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
    ) -> None: ...
    def drain(self, most: int = 256, /) -> list[Opened | Frame | Invalid | Closed]: ...
    def ack(self, frames: Sequence[Frame], /) -> int: ...
    def send(self, link: int, text: str, /) -> bool: ...
    def close(self, link: int, /, *, code: int = 1000) -> None: ...
    def stats(self, link: int, /) -> dict[str, float] | None: ...
    def shutdown(self) -> None: ...
