"""What a build with a profile learns from: every function of the codec, on every corpus.

Run by ``maturin build --pgo`` (`make wheel`) with the module that counts.
"""

from __future__ import annotations

import base64
import sys
from functools import partial

from xyfast import DedupCache, codec

# The corpora are packed by the module that is being trained.
sys.modules["msgpack"] = codec

import corpora  # noqa: E402
from ids import Ids  # noqa: E402
from messages import push_frame  # noqa: E402
from rivals import PATHS  # noqa: E402

BYTES = 3_000_000
"""Of each corpus, about."""
RUNS = 30_000
"""Over each payload: what matters most is what the profile is to show most."""


def main() -> None:
    picker = codec.Picker(*PATHS)
    for name in corpora.NAMES:
        given = corpora.corpus(name)
        packed = given.packed
        payload = base64.b64encode(packed).decode()
        # As the benchmarks call it: the plain call has a way of its own.
        unpackb = partial(codec.unpackb, strict_map_key=False) if given.int_keys else codec.unpackb
        tree = unpackb(packed)
        is_payload = name.split(",")[0] in corpora.PAYLOADS
        for _ in range(RUNS if is_payload else min(3000, 1 + BYTES // len(packed))):
            unpackb(packed)
            codec.packb(tree)
            codec.b64encode(codec.b64decode(payload))
            if isinstance(tree, dict):
                codec.decode(payload)
                codec.decrypt(payload)
                picker(payload)
                codec.decode_frame(push_frame(payload))
    cache = DedupCache(10_000)
    for key in Ids(10_000).mixed(200_000):
        cache.seen(key)


if __name__ == "__main__":
    main()
