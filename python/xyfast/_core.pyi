"""The Rust module: codec, dedup, frames and links."""

import builtins
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, Protocol, final, overload, type_check_only

from typing_extensions import Buffer, Self, disjoint_base  # only read by type checkers

from xyfast.errors import DecodeError

__all__ = [
    "Closed",
    "DedupCache",
    "Frame",
    "Invalid",
    "Links",
    "Opened",
    "Packer",
    "Payload",
    "Picker",
    "Unpacker",
    "a2b_base64",
    "b2a_base64",
    "b64decode",
    "b64encode",
    "build_profile",
    "check_proxy",
    "check_roots",
    "decode",
    "decode_frame",
    "decode_many",
    "decrypt",
    "decrypt_many",
    "mentions",
    "packb",
    "parse_frame",
    "pick",
    "post",
    "read_payload",
    "simd",
    "unpackb",
]

build_profile: Final[str]
"""``"debug"``, ``"release"`` or ``"release, guided by a profile"``, as wheels are.

Timings of a debug build mean nothing.
"""

simd: Final[str]
"""The level of vector instructions in use: ``"scalar"``, ``"sse4.1"``, ``"avx2"``, ``"avx512"``,
``"neon"``."""

@type_check_only
class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

def decrypt(payload: object, /) -> str:
    """Return the text that the pure-Python ``decrypt`` of existing bots returns.

    The base64 text is decoded forgivingly, one MessagePack value is read from it, and a
    map becomes JSON text as ``json.dumps(value, ensure_ascii=False)`` writes it; any other
    value becomes its ``str()``. Payloads that are bytes-like are taken as ASCII text, those
    of any other type as their ``str()``. All this, errors included, was observed on
    zhinianboke/xianyu-auto-reply:utils/xianyu_utils.py at 21cde1a; only what is bytes-like is
    taken there by its repr.

    Raises `DecryptError`, a ValueError whose text starts with ``解密失败: ``, with
    ``reason`` and ``offset``; and what the ``str()`` of a payload raises.

    >>> decrypt("ggGmMTIzNDU2AqjkvaDlpb0hIQ==")
    '{"1": "123456", "2": "你好!!"}'
    """

def decode(payload: str | Buffer, /, *, max_depth: int = 512) -> dict[str, Any]:
    """Return a payload, a str or bytes-like ASCII text, as a dict with str keys.

    This is what ``json.loads(decrypt(payload))`` returns, without the way through text:
    keys are spelled as in JSON, bytes are text, and where names collide the last one wins.
    On the wire most keys are ints (cv-cat/XianYuApis, zhinianboke/xianyu-auto-reply).

    Raises `DecodeError` if the payload cannot be decoded (with a note, from CPython 3.11 on,
    if it looks like a whole frame), holds something else than a map, or nests maps and lists
    more than ``max_depth`` deep; TypeError if it is neither str nor bytes-like; ValueError if
    ``max_depth`` is negative or beyond 64 bits.

    >>> decode("gQGhYQ==")
    {'1': 'a'}
    """

@overload
def decrypt_many(
    payloads: Iterable[object], /, *, return_exceptions: Literal[False] = False
) -> list[str]:
    """Return what `decrypt` returns for each of many payloads, in their order.

    Other threads run while the texts are written. Payloads are taken as they are needed,
    so an iterator never stands in memory as a whole.

    Raises TypeError if there is one payload instead of many.

    The first payload that cannot be decoded ends the call with its exception, whose
    ``index`` says which one it was. With ``return_exceptions=True`` exceptions stand in
    the list instead, in the places of their payloads, a TypeError in that of what is no text
    (None) too.

    >>> decrypt_many(["gQGhYQ==", "gQGhYg=="])
    ['{"1": "a"}', '{"1": "b"}']
    """

@overload
def decrypt_many(
    payloads: Iterable[object], /, *, return_exceptions: bool
) -> list[str | Exception]: ...
@overload
def decode_many(
    payloads: Iterable[str | Buffer], /, *, return_exceptions: Literal[False] = False
) -> list[dict[str, Any]]:
    """Return what `decode` returns for each of many payloads, in their order.

    Other threads get their turns in between. Payloads are taken, and exceptions treated,
    as by `decrypt_many`.

    >>> decode_many(["gQGhYQ==", "gQGhYg=="])
    [{'1': 'a'}, {'1': 'b'}]
    """

@overload
def decode_many(
    payloads: Iterable[str | Buffer], /, *, return_exceptions: bool
) -> list[dict[str, Any] | Exception]: ...
def unpackb(
    packed: Buffer,
    *,
    object_hook: Callable[[dict[Any, Any]], Any] | None = None,
    list_hook: Callable[[Any], Any] | None = None,
    use_list: bool = True,
    raw: bool = False,
    timestamp: Literal[0, 1, 2, 3] = 0,
    strict_map_key: bool = True,
    unicode_errors: str | None = None,
    object_pairs_hook: Callable[[list[tuple[Any, Any]]], Any] | None = None,
    ext_hook: Callable[[int, bytes], Any] | None = None,
    max_str_len: int = -1,
    max_bin_len: int = -1,
    max_array_len: int = -1,
    max_map_len: int = -1,
    max_ext_len: int = -1,
) -> Any:
    r"""Return the one value that MessagePack data holds, as ``msgpack.unpackb`` does.

    Arrays become lists, or tuples with ``use_list=False``. Strings become str, or bytes
    with ``raw``; ``unicode_errors`` says what becomes of those that are not UTF-8, as the
    errors of ``bytes.decode``. Map keys must be str or bytes unless ``strict_map_key`` is
    False; then they may be whatever has a hash. Timestamps become `Timestamp`, float
    seconds, int nanoseconds or datetime, for a ``timestamp`` of 0, 1, 2 or 3.

    What a hook returns takes the place of a value: ``object_hook`` is called with every
    dict, ``object_pairs_hook`` with the list of key and value pairs of every map,
    ``list_hook`` with every list or tuple, ``ext_hook`` with code and data of every
    extension type but timestamps (without a hook, it becomes `ExtType`). What a hook raises
    is raised. A moment for which datetime has no room is an OverflowError.

    Raises TypeError for what is not bytes-like, `ExtraData` if more data follows the value,
    else `DecodeError` or a subclass. No length is believed that the data cannot hold, none
    above ``max_..._len`` is taken, and nothing is nested in more than 1024 lists and maps.
    The formats are those of the MessagePack specification (msgpack/msgpack:spec.md).

    >>> unpackb(b"\x82\xa1a\x01\xa1b\x90")
    {'a': 1, 'b': []}
    >>> unpackb(b"\x81\x92\x01\x02\xc0", use_list=False, strict_map_key=False)
    {(1, 2): None}
    """

@disjoint_base
class Unpacker:
    r"""Decodes values that come in pieces, as ``msgpack.Unpacker`` does.

    Bytes are fed, or read from ``file_like`` in portions of ``read_size``; 0 means 1 MiB or
    ``max_buffer_size``, whichever is less. An iteration ends where no whole value is left
    and may go on after more bytes were fed. At most ``max_buffer_size`` bytes are held, so
    no value may be larger; 0 means 2**31 - 1. The other options are those of `unpackb`.

    Raises `BufferFull`, `OutOfData`, and what `unpackb` raises; ``offset`` then counts from
    the start of the stream. Once the data was wrong, every further call raises the same
    error, since nobody knows where the next value starts. What a hook or the file raises
    leaves the stream as it is, behind or before the value. A hook, or another thread, that
    calls an Unpacker at work gets a RuntimeError.

    >>> unpacker = Unpacker()
    >>> unpacker.feed(b"\x01\xa2h")
    >>> list(unpacker)
    [1]
    >>> unpacker.feed(b"i")
    >>> unpacker.unpack()
    'hi'
    """

    def __init__(
        self,
        file_like: _Readable | None = None,
        *,
        read_size: int = 0,
        use_list: bool = True,
        raw: bool = False,
        timestamp: Literal[0, 1, 2, 3] = 0,
        strict_map_key: bool = True,
        object_hook: Callable[[dict[Any, Any]], Any] | None = None,
        object_pairs_hook: Callable[[list[tuple[Any, Any]]], Any] | None = None,
        list_hook: Callable[[Any], Any] | None = None,
        unicode_errors: str | None = None,
        max_buffer_size: int = 104857600,
        ext_hook: Callable[[int, bytes], Any] | None = None,
        max_str_len: int = -1,
        max_bin_len: int = -1,
        max_array_len: int = -1,
        max_map_len: int = -1,
        max_ext_len: int = -1,
    ) -> None: ...
    def feed(self, next_bytes: Buffer) -> None:
        """Take more bytes. Raises `BufferFull`, and takes none, if those are too many.

        With a ``file_like`` that is an AssertionError.
        """

    def unpack(self) -> Any:
        """Return the next value. Raises `OutOfData` if it is not whole yet."""

    def skip(self) -> None:
        """Pass over the next value. Raises `OutOfData` if it is not whole yet."""

    def read_array_header(self) -> int:
        """Return the length of the next value, a list, whose items are then the next values.

        Any other value is a ValueError, and stays the next one.
        """

    def read_map_header(self) -> int:
        """Return the length of the next value, a map, whose keys and values follow by turns.

        Any other value is a ValueError, and stays the next one.
        """

    def read_bytes(self, nbytes: int) -> bytes:
        """Return so many bytes as they are; fewer if there are no more."""

    def tell(self) -> int:
        """Return how many bytes stand before the next value."""

    def __iter__(self) -> Self:
        """Return the Unpacker."""

    def __next__(self) -> Any:
        """Return the next value."""

def packb(
    o: object,
    *,
    default: Callable[[Any], Any] | None = None,
    use_single_float: bool = False,
    autoreset: bool = True,
    use_bin_type: bool = True,
    strict_types: bool = False,
    datetime: bool = False,
    unicode_errors: str | None = None,
    buf_size: int = 262144,
) -> bytes:
    r"""Return a value as MessagePack, in the shortest form, as ``msgpack.packb`` does.

    Takes None, bool, int within 64 bits, float, str, bytes, bytearray, memoryview, list,
    tuple, dict, `ExtType`, `Timestamp` and subclasses of these, nested up to 1024 deep.
    The options are those of `Packer`; ``autoreset`` and ``buf_size`` change nothing here.

    Raises `UnsupportedType` (a TypeError), `OutOfRange` (an OverflowError), `LoneSurrogate`
    (a UnicodeEncodeError) or their base `EncodeError` (a ValueError). A list or dict that
    ``default`` changes while it is packed may give RuntimeError.

    >>> packb({"a": [1, None]})
    b'\x81\xa1a\x92\x01\xc0'
    """

@disjoint_base
class Packer:
    r"""Pack values one by one, as ``msgpack.Packer`` does.

    ``default`` is called with what has no form, and returns what is packed in its place.
    ``use_single_float`` packs floats in 32 bits. Without ``use_bin_type`` bytes are packed
    as str. With ``strict_types`` subclasses and tuples have no form. With ``datetime``
    aware datetimes are packed as timestamps. ``unicode_errors`` names what is done about
    surrogates. ``buf_size`` changes nothing: the buffer grows by itself.

    Without ``autoreset`` results are gathered in a buffer, and None is returned. While a
    memoryview of it exists, calls that would change it raise BufferError.

    >>> packer = Packer(autoreset=False)
    >>> packer.pack_array_header(2)
    >>> packer.pack("a"), packer.pack(1)
    (None, None)
    >>> packer.bytes()
    b'\x92\xa1a\x01'
    """

    def __init__(
        self,
        *,
        default: Callable[[Any], Any] | None = None,
        use_single_float: bool = False,
        autoreset: bool = True,
        use_bin_type: bool = True,
        strict_types: bool = False,
        datetime: bool = False,
        unicode_errors: str | None = None,
        buf_size: int = 262144,
    ) -> None: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __release_buffer__(self, view: memoryview, /) -> None: ...

    def pack(self, obj: object) -> Any:
        """Pack a value; the result is bytes with ``autoreset``, else None.

        Raises what `packb` raises. What was gathered before is dropped then.
        """
    def pack_array_header(self, size: int) -> Any:
        """Pack the head of a list; the caller packs as many values after it.

        Raises ValueError for a size that is negative or above 2**32 - 1.
        """
    def pack_map_header(self, size: int) -> Any:
        """Pack the head of a map; the caller packs as many keys and values after it.

        Raises ValueError for a size that is negative or above 2**32 - 1.
        """
    def pack_map_pairs(self, pairs: Iterable[tuple[Any, Any]]) -> Any:
        """Pack pairs of keys and values as a map.

        Raises what `packb` raises, and ValueError for what is no pair. What was gathered
        before stays.
        """
    def pack_ext_type(self, typecode: int, data: builtins.bytes | bytearray | str) -> Any:
        """Pack the data of an extension type of any code from -128 to 127.

        A str is taken as its ASCII text. Raises OverflowError for other codes, TypeError
        for other data, `EncodeError` for a str that is not ASCII.
        """
    def bytes(self) -> builtins.bytes:
        """Return what was gathered."""
    def reset(self) -> None:
        """Forget what was gathered."""
    def getbuffer(self) -> memoryview:
        """Return a view of what was gathered."""

def b64decode(data: str | Buffer, /, *, strict: bool = True) -> bytes:
    r"""Return the bytes of base64 text in the standard alphabet.

    Strictly, only the one text that `b64encode` returns for the bytes is taken. With
    ``strict=False`` the text is taken as `decrypt` takes it: foreign characters are
    skipped, what follows the padding is ignored, missing padding is repaired.

    Raises `DecodeError`; its ``offset`` counts characters. Raises TypeError for what is
    neither str nor bytes-like.

    >>> b64decode("gQGhYQ==")
    b'\x81\x01\xa1a'
    """

def b64encode(data: Buffer, /) -> str:
    r"""Return bytes as padded base64 text in the standard alphabet.

    Raises TypeError for what is not bytes-like.

    >>> b64encode(b"\x81\x01\xa1a")
    'gQGhYQ=='
    """

def a2b_base64(data: object, validate: bool, /) -> bytes | None:
    """Return what ``binascii`` makes of base64 text.

    Returns None for whatever is not plain success, so that the caller can ask ``binascii``
    itself. With ``validate`` that is all but text as `b64encode` returns it.
    """

def b2a_base64(data: object, /) -> bytes | None:
    """Return base64 text as ``binascii`` does, without a newline.

    Returns None for what is not bytes-like and in one piece.
    """

def pick(payload: str | Buffer, paths: Iterable[str], /) -> tuple[Any, ...]:
    """Return the values at some paths of a payload, without building the rest.

    A path names the keys from the top, spelled as `decode` spells them, with dots between
    them; lists are not entered. A value is what `decode` would hold there, or None where
    nothing is.

    pick reads the structure of the whole payload and the text of what it returns: it
    raises what `decode` raises, unless only text that it passes over is not UTF-8. Who asks
    for the same paths again and again does so with a `Picker`.

    >>> pick("gQGBAqF4", ["1.2", "1", "9"])
    ('x', {'2': 'x'}, None)
    """

@final
class Picker:
    """`pick` with its paths, for many payloads.

    Pickers with the same paths are equal.

    >>> route = Picker("1.2", "1.10.senderUserId")
    >>> route("gQGCAqF4CoGsc2VuZGVyVXNlcklkozIyMA==")
    ('x', '220')
    """

    def __new__(cls, *paths: str) -> Picker: ...
    @property
    def paths(self) -> tuple[str, ...]:
        """The paths, in the order of the values."""
    def __call__(self, payload: str | Buffer, /) -> tuple[Any, ...]:
        """Return the values at the paths of a payload; raises what `pick` raises."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[type[Picker], tuple[str, ...]]: ...

@final
class DedupCache:
    """A bounded set of ids that forgets by age.

    An id is known for ``ttl`` seconds from its first sight; seeing it again does not make
    it younger. Of more than ``maxsize`` ids the oldest are forgotten. Ids are told apart by
    128 bits of a keyed hash; an id takes about 40 bytes, however long it is. Memory is taken
    as ids come. ``clock`` returns seconds; the default is monotonic and on Linux moves with
    the system's tick, every 1 to 10 ms. If a clock goes back, time stands still until it has
    caught up. Threads may share a cache.

    Raises ValueError if ``maxsize`` is not 1 to 2**31 or ``ttl`` is not above 0. The ``repr``
    shows both, and how many ids are known.

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

        Raises TypeError for an id that is no str, and MemoryError, remembering nothing, if
        there is no memory for one more.
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
    def age(self) -> float | None:
        """Seconds since its link read it; None for a frame of `parse_frame`."""
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

@overload
def decode_frame(
    frame: str | Buffer, /, *, return_exceptions: Literal[False] = False
) -> list[dict[str, Any]]:
    """Return the payloads of a frame's text, each as `decode` returns it.

    They stand in ``body.syncPushPackage.data``, each as ``data`` of an entry, where all
    public clients find them (for one, zhinianboke/xianyu-auto-reply:XianyuAutoAsync.py at
    21cde1a). A payload may also be a JSON object, as it is or in base64. A frame without
    payloads gives an empty list.

    Raises `DecodeError`: for the frame with reason ``"json"``, ``"depth"``, ``"envelope"``,
    ``"payloads"`` or ``"utf8"``, its offset counting bytes of the text; for the first payload
    that is missing, bad or no map with its ``index`` in the list. Raises TypeError for a frame
    that is neither str nor bytes-like.

    With ``return_exceptions=True`` the exceptions of payloads stand in the list instead, in
    the places of their payloads; those for the frame are raised.

    >>> package = '{"data":[{"data":"gQGhYQ=="}]}'
    >>> decode_frame('{"headers":{},"body":{"syncPushPackage":' + package + '}}')
    [{'1': 'a'}]
    """

@overload
def decode_frame(
    frame: str | Buffer, /, *, return_exceptions: bool
) -> list[dict[str, Any] | Exception]: ...
def parse_frame(text: str, /) -> Frame:
    """Read one frame's text.

    Raises `DecodeError` with reason ``"json"``, ``"depth"``, ``"envelope"`` or ``"payloads"``;
    its offset counts the bytes of the text in UTF-8.
    """

def read_payload(text: str, /) -> Payload:
    """Read one payload's text as it stands in a push. What is wrong with it is its `error`."""

def mentions(tree: object, word: str, /) -> bool:
    """Return whether a text in nested dicts and lists, keys aside, contains a word."""

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
    def trouble(
        self,
    ) -> Literal[
        "closed",
        "link",
        "deaf",
        "network",
        "exhausted",
        "proxy",
        "proxy-refused",
        "untrusted",
        "refused",
        "protocol",
    ]:
        """Why it ended.

        ``"closed"``: by `close` or `shutdown`. ``"link"``: it broke, fell silent, or the
        server closed it. ``"deaf"``: its heartbeats were answered with refusals, so its
        session is gone. ``"network"``: the server could not be reached or did not answer.
        ``"exhausted"``: this machine lacks something for now, such as descriptors.
        ``"proxy"``: the proxy could not be reached, or could not reach the server.
        ``"proxy-refused"``: the proxy wants another login or does not allow the server.
        ``"untrusted"``: the server's certificate, or its TLS, cannot be trusted.
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
    def beats(self) -> int:
        """Heartbeats that it sent."""
    @property
    def good(self) -> int:
        """Heartbeats that were answered with code 200."""
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
        """``"json"``, ``"depth"``, ``"envelope"``, ``"payloads"`` or ``"utf8"``."""
    @property
    def offset(self) -> int:
        """The byte of the frame at which that shows."""
    @property
    def size(self) -> int:
        """The bytes of the frame."""

@final
class Links:
    """Links to the server, read by whoever calls `drain`.

    Everything that happens is put into one mailbox, which `drain` fills and empties. When
    nobody does, a thread that never waits for Python keeps the links alive. The object
    belongs to the process that made it; in a forked child its methods raise `StateError`.
    Dropping it is a `shutdown`. Raises `OSError` where this machine lacks descriptors, or its
    poller has no room (the page reference/errors#exhausted of the documentation).
    """

    def __init__(self) -> None: ...
    def fileno(self) -> int:
        """Return the descriptor that is readable while `drain` has something to do."""
    def dial(
        self,
        link: int,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        register: str | None,
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
        proxy: str | None = None,
    ) -> None:
        """Start a link under a number that no living link has.

        The link connects, sends the text `register` and is open when that is answered with
        code 200, all within `open_timeout`; then it beats every `heartbeat` seconds. It ends
        when no heartbeat was answered with code 200 for `timeout` seconds, or `misses`
        answers in a row had another code. Reading pauses while the mailbox holds
        `max_pushes` frames or `max_bytes` bytes of the link; the heartbeat goes on. With a
        `register` of None the link shakes hands and closes itself: it ends in a `Closed` with
        trouble ``"closed"`` if that went well.

        `url` is ``wss://``, or ``ws://`` to this machine unless `allow_plain`. Certificates
        are verified against the system's roots and those in `roots`, a PEM text. With `proxy`,
        as `check_proxy` takes it, the link goes through that.

        The number is free again when `drain` has given the link's `Closed`. Raises
        `ConfigError` for an argument that cannot work and `StateError` for a number in use.
        """
    def drain(self, most: int = 256, /) -> list[Opened | Frame | Invalid | Closed]:
        """Return what happened, oldest first and at most so many things, without waiting.

        There may be nothing to tell, though there was something to do.
        """
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
        ``beats``, ``answered``, ``good`` (those of them with code 200), ``pushes``,
        ``bytes_in`` and ``paused`` (1 or 0).
        """
    def shutdown(self) -> None:
        """End all links at once, without a close handshake; a `Closed` follows for each."""

def post(
    url: str,
    *,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    timeout: float,
    allow_plain: bool = False,
    roots: str | None = None,
    proxy: str | None = None,
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Send an HTTP POST request and return status, headers and body of the answer.

    The way to the server, and what is trusted, is that of `Links.dial`. The call blocks its
    thread, and no other, for at most ``timeout`` seconds. Redirects are not followed.

    Raises `TokenError` whose code is a trouble of `Closed.trouble` if no whole answer of at
    most 1 MiB came, and `ConfigError` for an argument that cannot work.
    """

def check_proxy(url: str, /) -> None:
    """Raise `ConfigError`, which does not show it, if this cannot be a proxy's URL.

    ``http://`` (CONNECT), ``socks5://`` or ``socks5h://``, ``user:password@`` if needed,
    percent-encoded where they hold other signs, host and port. The proxy resolves the names
    of servers, whichever of the schemes it is.
    """

def check_roots(pem: str, /) -> None:
    """Raise `ConfigError` if a PEM text has no certificate, or one that cannot be read."""
