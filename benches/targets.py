"""What we want of the codec, as ratios to the best peer: the least that must be, and the goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """A row of the list of targets: no more than `must`, and `stretch` is what we want."""

    row: int
    must: float
    stretch: float


@dataclass(frozen=True)
class Theme:
    """One table of a record.

    Its figures are times (or bytes), or a `fact` that has no rounds. They are compared with
    those of the peer `against`, or else with the best peer's; a `fact` without `against` stands
    as it is.
    """

    name: str
    title: str
    targets: Mapping[str, Target] = field(default_factory=dict)
    others: Target | None = None
    mean: Target | None = None
    fact: str | None = None
    against: str | None = None
    unit: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether our figure is a ratio to a peer's."""
        return self.fact is None or self.against is not None

    def target(self, case: str) -> Target | None:
        """Return the target of a case, which may be named by what stands before its comma."""
        for name in (case, case.split(",")[0]):
            if name in self.targets:
                return self.targets[name]
        return self.others


PAYLOADS = ["gf300", "gf1k5", "gf8k"]
THEMES = [
    Theme(
        "unpack",
        "unpackb",
        {
            "gf300": Target(1, 0.75, 0.62),
            "gf1k5": Target(1, 0.75, 0.62),
            "gf8k": Target(2, 0.55, 0.42),
            "twitter": Target(3, 0.80, 0.65),
            "github": Target(3, 0.80, 0.65),
            "citm_catalog": Target(3, 0.95, 0.80),
            "canada": Target(3, 1.00, 0.90),
        },
        others=Target(4, 1.05, 1.00),
        mean=Target(4, 0.78, 0.68),
    ),
    Theme(
        "unpack",
        "Memory of decoded trees, to msgpack's",
        others=Target(5, 1.05, 1.00),
        fact="memory",
        against="msgpack",
        unit="KiB",
    ),
    Theme(
        "pack",
        "packb",
        {name: Target(6, 0.95, 0.80) for name in PAYLOADS},
        others=Target(6, 1.10, 1.00),
        mean=Target(6, 1.00, 0.88),
    ),
    Theme("pack, first time", "packb, strings for the first time", {"gf8k": Target(7, 0.60, 0.40)}),
    Theme(
        "pack, first time",
        "Bytes by which packing lets the strings of a tree grow",
        others=Target(7, 0, 0),
        fact="growth",
        unit="B",
    ),
    Theme(
        "b64decode",
        "b64decode of str",
        {
            "400 B": Target(8, 0.40, 0.28),
            "2 KB": Target(8, 0.55, 0.40),
            "10 KB": Target(8, 0.80, 0.60),
            "1 MB": Target(8, 1.15, 1.00),
        },
    ),
    Theme("b64encode", "b64encode to str"),
    Theme(
        "text",
        "decrypt: payload to JSON text",
        {
            "gf300": Target(9, 0.30, 0.18),
            "gf1k5": Target(9, 0.30, 0.18),
            "gf8k": Target(9, 0.42, 0.25),
        },
    ),
    Theme(
        "tree",
        "decode: payload to dict with str keys",
        {name: Target(10, 0.25, 0.17) for name in PAYLOADS},
    ),
    Theme(
        "route",
        "pick: five fields of a payload",
        {"gf1k5": Target(11, 0.22, 0.13), "gf8k": Target(11, 0.32, 0.20)},
    ),
    Theme(
        "frame",
        "decode_frame: a push frame's text to dicts",
        {name: Target(12, 0.30, 0.15) for name in PAYLOADS},
    ),
    Theme(
        "seen",
        "DedupCache.seen, full",
        {"10 000": Target(13, 0.50, 0.36), "1 000 000": Target(13, 0.65, 0.45)},
    ),
    Theme(
        "seen",
        "DedupCache: bytes an entry",
        {"1 000 000": Target(13, 48, 32)},
        fact="bytes an entry",
        unit="B",
    ),
    Theme(
        "seen",
        "DedupCache: slowest call",
        {"1 000 000": Target(13, 0.002, 0.0003)},
        fact="slowest call",
        unit="ms",
    ),
    Theme(
        "seen",
        "DedupCache: share of the newest ids that were forgotten",
        others=Target(14, 0, 0),
        fact="forgotten",
    ),
]
