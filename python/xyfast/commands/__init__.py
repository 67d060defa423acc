"""What ``xyfast`` does on the command line, one module a command."""

__all__ = ["FAULTS"]

FAULTS = ("none", "reset", "close", "half-open", "duplicate", "bad-payload")
"""The names of `xyfast.testing.PLANS`, known also where the fake server cannot be imported."""
