"""The file of a bot: what is in it that can be run."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from xyfast.client import Client
from xyfast.configfile import Config
from xyfast.dispatch import Router
from xyfast.errors import ConfigError
from xyfast.redaction import redact
from xyfast.shown import printable_lines

__all__ = ["client_of", "load"]

_MAKER = "make_client"
_WHAT = (
    f"`client = Client(...)`, `router = Router()` or `def {_MAKER}(config)` that returns a Client"
)


def load(path: Path) -> ModuleType:
    """Import the file; its folder is where it finds its own modules.

    Raises `ConfigError` if there is none, its name is taken, or it raises; what it raises is
    printed to standard error first.
    """
    name = path.stem
    with contextlib.suppress(PermissionError, NotADirectoryError):  # told below
        if not path.exists():
            raise ConfigError(f"there is no such file: {path}")
    if path.suffix != ".py" or not os.path.isfile(path):
        raise ConfigError(
            f"{path} is no Python file that can be read; give the path of one, such as bot.py"
        )
    if name in sys.stdlib_module_names or name == "xyfast":
        raise ConfigError(f"{path} has the name of a module that others import; rename it")
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As `python bot.py` has it; a name that stays the same, since durable replies are known by it.
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[name] = module
    run = spec.loader.exec_module
    _guarded(path, lambda: run(module), "when it is imported")
    return module


def client_of(module: ModuleType, config: Config) -> tuple[Client, bool]:
    """The client that a module of `load` has or makes, and whether it goes by the config.

    A Router becomes the handlers of a Client with the stores and the settings of the config. A
    module with clients may have routers beside them. Raises `ConfigError` if it has none of
    them, or more than one, or one that leaves secrets where the config does not want them.
    """
    path = Path(str(module.__file__))
    client, by_config = _found(path, module, config)
    if config.secrets.store is not None and not client.keeps_secrets_apart:
        raise ConfigError(
            f"{path}: its Client keeps session material in clear, and "
            f"{config.origins['secrets.store']} wants it apart; give the Client "
            f"secrets=config.make_secrets(), in a `{_MAKER}(config)`"
        )
    return client, by_config


def _found(path: Path, module: ModuleType, config: Config) -> tuple[Client, bool]:
    names: dict[int, str] = {}
    for kind in (Client, Router):
        found = {id(each): name for name, each in vars(module).items() if isinstance(each, kind)}
        names = names or found
        if kind is Client and hasattr(module, _MAKER):
            names[id(getattr(module, _MAKER))] = _MAKER
    if not names:
        raise ConfigError(f"{path} has no {_WHAT}")
    if len(names) > 1:
        each = ", ".join(f"`{name}`" for name in names.values())
        raise ConfigError(f"{path} has more than one thing to run: {each}; leave one of them")
    [name] = names.values()
    if name == _MAKER:
        return _made(path, getattr(module, _MAKER), config)
    thing = getattr(module, name)
    if isinstance(thing, Client):
        return thing, False
    client = Client(
        router=thing,
        store=config.make_store(),
        secrets=config.make_secrets(),
        settings=config.settings,
    )
    return client, True


def _made(path: Path, maker: Callable[..., object], config: Config) -> tuple[Client, bool]:
    if not callable(maker) or inspect.iscoroutinefunction(maker):
        raise ConfigError(f"{path}: `{_MAKER}` must be a function that is not async")
    takes = bool(inspect.signature(maker).parameters)
    client = _guarded(path, lambda: maker(config) if takes else maker(), f"in `{_MAKER}`")
    if not isinstance(client, Client):
        kind = type(client).__name__
        raise ConfigError(f"{path}: `{_MAKER}` must return a Client, not {kind}")
    return client, takes


def _guarded(path: Path, work: Callable[[], object], when: str) -> object:
    """Do what the user's code does; what it raises is printed, from its own lines on."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != str(path.absolute()):
            trace = trace.tb_next
        lines = traceback.format_exception(type(error), error, trace)
        print(printable_lines(redact("".join(lines))), end="", file=sys.stderr)
        raise ConfigError(f"{path} raises {type(error).__name__} {when}") from None
