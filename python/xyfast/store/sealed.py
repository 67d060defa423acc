"""Session material that is encrypted; wants ``xyfast[crypto]``."""

from __future__ import annotations

import binascii
import hashlib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xyfast.errors import ConfigError, StoreError
from xyfast.secret import Secret, reveal
from xyfast.store.material import FileSecretStore, read_private

__all__ = ["KEY_VARIABLE", "EncryptedSecretStore"]

KEY_VARIABLE = "XYFAST_SECRETS_KEY"
_CIPHER = b"AES-256-GCM"
_NONCE = 12


class EncryptedSecretStore(FileSecretStore):
    """Session material encrypted by AES-256-GCM, else as `FileSecretStore` keeps it.

    The key is 32 random bytes in base64 (``openssl rand -base64 32``): ``key``, or what the file
    ``key_file`` holds, which nobody else may read, or else the variable ``XYFAST_SECRETS_KEY`` of
    ``environ``. Raises `ConfigError` if it cannot be used.

    What another key encrypted raises `StoreError`, and is never overwritten. What
    `FileSecretStore` wrote into the folder is taken up, and encrypted when it is saved next.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        /,
        *,
        key: str | Secret | None = None,
        key_file: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__(path)
        if key is not None and key_file is not None:
            raise ConfigError("give key or key_file, not both")
        where = "key"
        if key_file is not None:
            key, where = _read(Path(key_file)), f"the file {key_file}"
        elif key is None:
            key, where = environ.get(KEY_VARIABLE), f"the variable {KEY_VARIABLE}"
            if not key:
                raise ConfigError(f"{where} is not set; give it the key, or give key_file")
        self._key = Secret(reveal(key).strip())  # a file has a line break, which a log has not
        data = _decode(self._key, where)
        self._cipher = _aes_gcm()(data)
        # Tells keys apart, and nothing of a key that is random.
        name = hashlib.sha256(b"xyfast session key" + data).hexdigest()[:16]
        self._kind = _CIPHER + b" " + name.encode()

    def _seal(self, account_id: str, text: str) -> tuple[bytes, bytes]:
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._cipher.encrypt(nonce, text.encode(), account_id.encode())
        return self._kind, nonce + sealed

    def _unseal(self, account_id: str, kind: bytes, body: bytes) -> str:
        if not kind:
            return super()._unseal(account_id, kind, body)
        try:
            text: bytes = self._cipher.decrypt(body[:_NONCE], body[_NONCE:], account_id.encode())
        except Exception:  # InvalidTag, or ValueError for what is too short
            raise StoreError(
                f"the session material of account {account_id} is damaged, or was encrypted for "
                "another account"
            ) from None
        return text.decode()

    def _check(self, path: Path, kind: bytes) -> None:
        if kind and kind != self._kind:
            raise StoreError(
                f"{path} was encrypted with another key; give that one, or move the file away, "
                "and the account starts anew with the cookies that you give"
            )


def _read(path: Path) -> str:
    try:
        return read_private(path).decode()
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error.strerror}") from None
    except StoreError as error:
        raise ConfigError(str(error)) from None
    except UnicodeDecodeError:
        return ""


def _decode(key: Secret, where: str) -> bytes:
    text = reveal(key).translate(str.maketrans("-_", "+/"))
    try:
        data = binascii.a2b_base64(text.encode("ascii"))
    except ValueError:
        data = b""
    if len(data) != 32:
        raise ConfigError(
            f"{where} is not base64 of 32 bytes; make a key with: openssl rand -base64 32"
        )
    return data


def _aes_gcm() -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ImportError:
        raise ConfigError(
            "EncryptedSecretStore wants the package cryptography; run: pip install xyfast[crypto]"
        ) from None
