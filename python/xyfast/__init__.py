"""A codec and a client for the 闲鱼/Goofish web IM that lose nothing and double nothing.

Codec: `decrypt`, `decode`, `pick`, `unpackb`, `packb`, `b64decode`, `b64encode`;
``import xyfast.codec as msgpack`` has the names that msgpack users know.

Client: `Client`, `Account`, `Settings`; what handlers receive is in `xyfast.messages`, what
can go wrong in `xyfast.errors`, where messages are kept in `xyfast.store`, and a server to
try it all on in `xyfast.testing`.
"""

from importlib import import_module as _import
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from xyfast import codec as codec
from xyfast._core import (
    DedupCache,
    b64decode,
    b64encode,
    decode,
    decrypt,
    packb,
    pick,
    unpackb,
)
from xyfast.account import Account
from xyfast.client import Client
from xyfast.config import Settings
from xyfast.configfile import Config, Secrets
from xyfast.dispatch import Router
from xyfast.errors import (
    ConfigError,
    DecodeError,
    DecryptError,
    EncodeError,
    LoginRequired,
    NotSent,
    SendRefused,
    SendUnknown,
    StateError,
    StoreError,
    StoreFull,
    TokenError,
    XyfastError,
)
from xyfast.events import State
from xyfast.login import CredentialSource
from xyfast.logs import logging_json
from xyfast.messages import (
    ChatMessage,
    Expired,
    Gap,
    GroupMessage,
    Marker,
    Message,
    OrderNotice,
    ReadReceipt,
    Sent,
    SessionOpened,
    SystemNotice,
    Typing,
    Undecodable,
    Unknown,
)
from xyfast.redaction import Redaction, redact
from xyfast.secret import Secret
from xyfast.store import (
    EncryptedSecretStore,
    FileSecretStore,
    MemoryStore,
    Retention,
    SecretStore,
    SqliteStore,
    Store,
)
from xyfast.tokens import PlatformTokens, Token, TokenProvider

if TYPE_CHECKING:
    from xyfast import testing as testing

__version__ = _version("xyfast")

__all__ = [
    "Account",
    "ChatMessage",
    "Client",
    "Config",
    "ConfigError",
    "CredentialSource",
    "DecodeError",
    "DecryptError",
    "DedupCache",
    "EncodeError",
    "EncryptedSecretStore",
    "Expired",
    "FileSecretStore",
    "Gap",
    "GroupMessage",
    "LoginRequired",
    "Marker",
    "MemoryStore",
    "Message",
    "NotSent",
    "OrderNotice",
    "PlatformTokens",
    "ReadReceipt",
    "Redaction",
    "Retention",
    "Router",
    "Secret",
    "SecretStore",
    "Secrets",
    "SendRefused",
    "SendUnknown",
    "Sent",
    "SessionOpened",
    "Settings",
    "SqliteStore",
    "State",
    "StateError",
    "Store",
    "StoreError",
    "StoreFull",
    "SystemNotice",
    "Token",
    "TokenError",
    "TokenProvider",
    "Typing",
    "Undecodable",
    "Unknown",
    "XyfastError",
    "__version__",
    "b64decode",
    "b64encode",
    "decode",
    "decrypt",
    "logging_json",
    "packb",
    "pick",
    "redact",
    "unpackb",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import `xyfast.testing` when it is asked for: what it needs may not be installed."""
        if name == "testing":
            return _import("xyfast.testing")
        raise AttributeError(f"module 'xyfast' has no attribute {name!r}")
