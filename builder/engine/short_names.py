"""Short names for what is in the store: an alias of registries.conf counts where the name itself stands for nothing.

A pull by an alias keeps the whole name (builder.engine.transfers.name_to_pull); whoever has typed the short one goes on
with it, as with podman. Names that are given (tag, push) are never aliases, nor is what follows `docker://`.
"""

from __future__ import annotations

from builder.oci.reference import parse_reference, reference_or_none
from builder.registry.configuration import find_alias
from builder.store.store import Store


def local_name(store: Store, text: str) -> str:
    """Return the name that the store has for what somebody calls `text`; `text` itself where no alias is here.

    Raises RegistryError for a registries.conf that cannot be read.
    """
    reference = reference_or_none(text)
    if reference is None or store.names.find(reference) is not None:
        return text
    alias = find_alias(text)
    return alias if alias and store.names.find(parse_reference(alias)) is not None else text
