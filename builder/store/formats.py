"""What a store holds, and in which format: raised here when the bytes change that the same thing is written as.

What has another format than this is made anew, but for databases: of those another format is an error, as another
pybuild may be using it. A layer's index says its own format (builder.layer.index_format).
"""

from __future__ import annotations

CACHE_KEY = 2
"""Preimages of cache keys (builder.solve.cache_key), also raised when a layer has other bytes for the same preimage. Of
1 none says how a RUN was isolated, and files are listed in it."""

PLAN = 8
"""Kept plans (builder.engine.plan_cache), also raised when another plan is made of the same Dockerfile."""

RECEIPT = 5
"""Receipts (builder.engine.receipt)."""

RECORD = 2
"""Records of builds (builder.engine.build_record)."""

MOUNTED_TREE = 2
"""Digests of what a mount of a stage shows (builder.solve.run.inputs)."""

ISOLATION = 1
"""Which isolation works in a place (builder.solve.known_isolation)."""

CONTAINER = 1
"""Records of containers (builder.store.containers). They are not made anew: another format is an error."""

STATE_DATABASE = 1
CONTEXTS_DATABASE = 1
FACTS_DATABASE = 1
KNOWN_DATABASE = 1
REPOSITORIES_DATABASE = 1
