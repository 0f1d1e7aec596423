"""Whose results a build may take: a RUN that was only in a chroot never answers for one that is to be isolated.

What a RUN made in a chroot has a cache key of its own (solve/cache_key.py), and a receipt says whether such a layer is
in it. Who asks for `--isolation chroot` takes both kinds; who asks for native or oci takes isolated ones alone. Who
asks for nothing takes what a chroot made only where nothing else works; that was found out once (sandbox/choose.py),
and is kept in the store under all that the kernel's answer can hang on. No namespace is entered to look it up.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builder.oci.canonical import encode
from builder.oci.digest import Digest, digest_of
from builder.store import formats

if TYPE_CHECKING:
    from builder.store.store import Store

CHROOT = "chroot"

_STATUS = (b"CapEff", b"CapBnd", b"NoNewPrivs", b"Seccomp", b"Seccomp_filters")
"""Lines of /proc/self/status (man 5 proc)."""
_FILES = (
    # Numbers of namespaces come again after a boot, and another kernel may have come with it.
    "/proc/sys/kernel/random/boot_id",
    "/proc/self/uid_map",
    "/proc/self/attr/current",
    # A patch of Debian's kernels; the next one is AppArmor's.
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/user/max_mnt_namespaces",
)
_NAMESPACES = ("user", "mnt", "pid")


def takes_chroot_results(requested: str | None, store: Store) -> bool | None:
    """Say whether a build that asks for `requested` takes results of a chroot; None where only a trial can tell."""
    if requested is not None:
        return requested == CHROOT
    known = store.documents.find(this_place())
    return None if known is None else known == CHROOT.encode()


def remember_isolation(name: str, place: Digest, store: Store) -> None:
    """Keep the isolation that builds get in `place` when they ask for none."""
    if name == CHROOT or store.documents.find(place) is not None:  # nobody asks where more works
        store.documents.put(place, name.encode())


def this_place() -> Digest:
    """Return the digest of this place, as it is before any namespace is entered.

    Another container, boot, user, or policy of the kernel is another place.
    """
    namespaces = []
    for name in _NAMESPACES:
        try:
            namespaces.append(os.stat(f"/proc/self/ns/{name}").st_ino)
        except OSError:
            # No such namespace in this kernel, or /proc is closed to us: both are a place of their own.
            namespaces.append(0)
    status = [line.decode("ascii", "replace") for line in _read("/proc/self/status") if line.startswith(_STATUS)]
    files = [b"".join(_read(path)).decode("ascii", "replace") for path in _FILES]
    ids = [os.geteuid(), os.getegid()]
    return digest_of(
        encode({"isolation": formats.ISOLATION, "ids": ids, "ns": namespaces, "status": status, "files": files})
    )


def _read(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.readlines()
    except OSError:  # that a kernel has no such file is an answer, too
        return []
