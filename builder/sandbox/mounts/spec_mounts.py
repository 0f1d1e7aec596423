"""The mounts a spec asks for, turned into attachments: what to mount, on which path, with which flags.

Sources are opened first, inside their own roots, and held as descriptors; targets are opened inside the new root.
What is mounted is thus exactly what was opened, whoever renames or relinks paths meanwhile (CVE-2024-23651,
CVE-2024-1753).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from builder.errors import SandboxError
from builder.linux.beneath import open_in_root
from builder.linux.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, bind, descriptor_path, mount
from builder.linux.overlay import mount_overlay
from builder.sandbox.mounts.etc_files import HOSTS, RESOLV_CONF, hosts, resolv_conf
from builder.sandbox.mounts.mount_points import MountPoint
from builder.sandbox.mounts.root_mount import Scratch, mount_stack_readonly
from builder.sandbox.spec import (
    BindMount,
    CacheMount,
    DirectoryRoot,
    Mount,
    OverlayRoot,
    SandboxSpec,
    SecretMount,
    SshMount,
    TmpfsMount,
)

APT_CONFIGURATION = "/etc/apt/apt.conf.d"
_APT_AS_ROOT = 'APT::Sandbox::User "root";\n'
"""With one id there is no other user to become, and apt checks that it has become one."""

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_EXECUTE_BITS = 0o111


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One mount to be made."""

    target: str
    source: int | None
    """Descriptor of what to bind; None for a new tmpfs."""

    directory: bool
    flags: int = 0
    tmpfs_options: str = ""
    optional: bool = False
    """Left out where its mount point cannot be made."""

    def point(self) -> MountPoint:
        return MountPoint(path=self.target, directory=self.directory)

    def attach(self, target: int) -> None:
        """Mount over the object open at `target`. Raises OSError."""
        if self.source is None:
            mount("tmpfs", descriptor_path(target), "tmpfs", self.flags, self.tmpfs_options)
        else:
            bind(self.source, target, flags=self.flags)


Listen = Callable[[str, SshMount], None]
"""Makes the socket of an SSH mount at a path, and has its connections relayed."""


class Preparation:
    """Opens the sources of one spec's mounts."""

    def __init__(self, spec: SandboxSpec, scratch: Scratch, *, user_namespace: bool, single_id: bool) -> None:
        self._spec = spec
        self._scratch = scratch
        self._user_namespace = user_namespace
        self._single_id = single_id
        self._count = 0
        self._nodev = 0 if spec.insecure else MS_NODEV

    def attachments(self, listen: Listen) -> list[Attachment]:
        """All attachments, parents before what is mounted inside them. Raises OSError, SandboxError."""
        made = [*self._system_files(), *(self._attachment(one, listen) for one in self._spec.mounts)]
        made += [
            self._file(path, content, mode, MS_RDONLY | MS_NOSUID | MS_NODEV)
            for path, content, mode in self._spec.files
        ]
        for attachment in made:
            if os.path.normpath("/" + attachment.target).strip("/") == "":
                raise SandboxError(f'invalid mount target "{attachment.target}"')
        # By names and not as text: "/a/b" has to come behind "/a" and before "/a-b".
        return sorted(made, key=lambda one: os.path.normpath("/" + one.target).split("/"))

    def _system_files(self) -> Iterator[Attachment]:
        # Read-only as with BuildKit: what a command wrote there would be lost without a word.
        flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
        servers = (self._spec.resolv_conf or resolv_conf()).encode(errors="surrogateescape")
        yield self._file(RESOLV_CONF, servers, 0o644, flags, optional=True)
        text = hosts(self._spec.hostname, self._spec.options.add_hosts)
        yield self._file(HOSTS, text.encode(errors="surrogateescape"), 0o644, flags, optional=True)

    def apt_attachment(self, root: int) -> list[Attachment]:
        """Tell an apt in the tree at `root` not to change its user, where there is no other."""
        if not self._single_id:
            return []
        try:
            os.close(open_in_root(root, APT_CONFIGURATION, os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return []
        return [self._file(f"{APT_CONFIGURATION}/99single-id", _APT_AS_ROOT.encode(), 0o644, MS_RDONLY, optional=True)]

    def _attachment(self, mount_: Mount, listen: Listen) -> Attachment:
        match mount_:
            case BindMount():
                return self._bind(mount_)
            case CacheMount():
                flags = self._nodev | (MS_RDONLY if mount_.readonly else 0)
                return self._opened(mount_.source, mount_.subpath, mount_.target, flags)
            case TmpfsMount():
                options = "mode=1777" if mount_.size is None else f"mode=1777,size={mount_.size}"
                flags = MS_NOSUID | self._nodev
                return Attachment(target=mount_.target, source=None, directory=True, flags=flags, tmpfs_options=options)
            case SecretMount():
                # A secret may be a script, when its mode says so.
                flags = MS_RDONLY | MS_NOSUID | MS_NODEV | (0 if mount_.mode & _EXECUTE_BITS else MS_NOEXEC)
                owner = (mount_.uid, mount_.gid)
                return self._file(mount_.target, mount_.content, mount_.mode, flags, owner=owner)
            case SshMount():
                path = self._new_path()
                listen(path, mount_)
                self._own(path, mount_.mode, (mount_.uid, mount_.gid))
                source = os.open(path, os.O_PATH | os.O_CLOEXEC)
                return Attachment(target=mount_.target, source=source, directory=False, flags=MS_NOSUID | MS_NODEV)

    def _bind(self, mount_: BindMount) -> Attachment:
        point = self._new_directory()
        match mount_.source:
            case DirectoryRoot(path):
                tree = path
            case OverlayRoot():
                tree = mount_stack_readonly(mount_.source, point, user_namespace=self._user_namespace)
        if mount_.readonly and tree != point:
            tree = self._veiled(tree, point)
        attachment = self._opened(tree, mount_.subpath, mount_.target, self._nodev)
        if mount_.readonly:
            return self._with(attachment, attachment.source, self._nodev | MS_RDONLY)
        assert attachment.source is not None
        return self._with(attachment, self._scratch_copy(attachment.source, attachment.directory), self._nodev)

    def _veiled(self, tree: str, point: str) -> str:
        """Mount a directory of this machine on `point` as a file system of its own, and return where it is to be had.

        /proc/self/mountinfo names the root of each mount within its file system: of ours that says nothing. Where
        overlayfs does not take the directory, it is what it is.
        """
        target = os.open(point, _OPEN_DIRECTORY)
        try:
            layers = (tree, self._new_directory())  # two at least; the upper one gives the root its owner and mode
            mount_overlay(target, layers, user_namespace=self._user_namespace, flags=MS_RDONLY)
        except OSError:
            return tree
        finally:
            os.close(target)
        return point

    def _with(self, attachment: Attachment, source: int | None, flags: int) -> Attachment:
        return Attachment(target=attachment.target, source=source, directory=attachment.directory, flags=flags)

    def _opened(self, tree: str, subpath: str, target: str, flags: int) -> Attachment:
        root = os.open(tree, _OPEN_DIRECTORY)
        try:
            source = open_in_root(root, subpath or ".", os.O_PATH)
        except OSError as error:
            reason = f"cannot mount {subpath!r} on {target}: {error.strerror}"
            raise SandboxError(reason, hint="Check the source path of the mount.") from error
        finally:
            os.close(root)
        return Attachment(target=target, source=source, directory=_is_directory(source), flags=flags)

    def _scratch_copy(self, source: int, directory: bool) -> int:
        """Something like `source` that takes writes: an overlay of it, or a copy (of a file; or without overlayfs)."""
        if directory:
            area = self._new_directory(self._scratch.disk_path())
            upper, work, merged = (os.path.join(area, name) for name in ("upper", "work", "merged"))
            for path in (upper, work, merged):
                os.mkdir(path)
            status = os.fstat(source)
            with suppress(OSError):  # an id that the user namespace has no number for
                os.chown(upper, status.st_uid, status.st_gid)
            os.chmod(upper, stat.S_IMODE(status.st_mode))
            target = os.open(merged, _OPEN_DIRECTORY)
            try:
                lower = [descriptor_path(source)]
                mount_overlay(target, lower, upper, work, user_namespace=self._user_namespace)
            except OSError:
                # overlayfs refuses some file systems as lower layers: then it is a copy for the one run.
                shutil.copytree(descriptor_path(source) + "/.", merged, symlinks=True, dirs_exist_ok=True)
            finally:
                os.close(target)
            return os.open(merged, os.O_PATH | os.O_CLOEXEC)
        path = self._new_path()
        shutil.copy2(descriptor_path(source), path)
        return os.open(path, os.O_PATH | os.O_CLOEXEC)

    def _file(
        self,
        target: str,
        content: bytes,
        mode: int,
        flags: int,
        *,
        owner: tuple[int, int] = (0, 0),
        optional: bool = False,
    ) -> Attachment:
        path = self._new_path()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
        self._own(path, mode, owner)
        source = os.open(path, os.O_PATH | os.O_CLOEXEC)
        return Attachment(target=target, source=source, directory=False, flags=flags, optional=optional)

    def _own(self, path: str, mode: int, owner: tuple[int, int]) -> None:
        if owner != (0, 0) and not self._single_id:
            os.chown(path, *owner)
        # After chown(2), which takes set-id bits away.
        os.chmod(path, mode)

    def _new_path(self) -> str:
        self._count += 1
        return os.path.join(self._scratch.memory, str(self._count))

    def _new_directory(self, where: str = "") -> str:
        self._count += 1
        path = os.path.join(where or self._scratch.memory, f"{self._count}")
        os.mkdir(path)
        return path


def _is_directory(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)
