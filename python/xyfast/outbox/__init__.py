"""All that one account sends, and what became of it."""

from xyfast.outbox.outbox import Outbox

__all__ = ["Outbox"]
