"""The commands of docker, podman, buildah and skopeo: as they say themselves, and as they said when this was written.

A command that has commands of its own is listed with them: `image ls rm` is `image`, `image ls` and `image rm`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

Words = tuple[str, ...]

_BUILDX = "history imagetools bake build create dial-stdio du inspect ls prune rm stop use version"
RECORDED = {
    "docker": f"""
        run exec ps build bake pull push images login logout search version info attach commit cp create diff events
        export history import inspect kill load logs pause port rename restart rm rmi save start stats stop tag top
        unpause update wait
        builder {_BUILDX}
        buildx {_BUILDX} install uninstall
        container attach commit cp create diff exec export inspect kill logs ls pause port prune rename restart rm run
        +container start stats stop top unpause update wait list ps remove
        context create export import inspect ls rm show update use
        image build history import inspect load ls prune pull push rm save tag list remove
        manifest annotate create inspect push rm
        network connect create disconnect inspect ls prune rm
        plugin create disable enable inspect install ls push rm set upgrade
        system df events info prune dial-stdio
        trust key signer inspect revoke sign
        volume create inspect ls prune rm update
        swarm ca init join join-token leave unlock unlock-key update
        checkpoint create ls rm
        config create inspect ls rm
        node demote inspect ls promote ps rm update
        secret create inspect ls rm
        service create inspect logs ls ps rm rollback scale update
        stack config deploy ls ps rm services
        compose scout sbom init debug model mcp ai cloud desktop dev extension offload sandbox help
    """,
    "podman": """
        attach auto-update build commit compose cp create diff events exec export help history images import info init
        inspect kill load login logout logs mount pause port ps pull push rename restart rm rmi run save search start
        stats stop tag top unmount umount unpause unshare untag update version wait
        artifact add extract inspect ls pull push rm
        container attach checkpoint cleanup clone commit cp create diff exec exists export init inspect kill list logs
        +container mount pause port prune ps rename restart restore rm run runlabel start stats stop top umount unmount
        +container unpause update wait ls
        farm build create list remove update
        generate kube spec systemd
        healthcheck run
        image build diff exists history import inspect list load mount prune pull push rm save scp search sign tag tree
        +image trust unmount umount untag ls
        kube apply down generate play
        machine cp info init inspect list os reset rm set ssh start stop
        manifest add annotate create exists inspect push remove rm
        network connect create disconnect exists inspect ls prune reload rm update
        play kube
        pod clone create exists inspect kill logs pause prune ps restart rm start stats stop top unpause
        quadlet install list print rm
        secret create exists inspect ls rm
        system check connection df events info migrate prune renumber reset service
        volume create exists export import inspect ls mount prune reload rm unmount
    """,
    "buildah": """
        add build bud commit config containers copy delete from help images info inspect login logout mkcw mount prune
        pull push rename rm rmi run tag umount unmount unshare version
        manifest add annotate create exists inspect push remove rm
        source add create pull push
    """,
    "skopeo": """
        copy delete experimental-image-proxy generate-sigstore-key help inspect layers list-tags login logout
        manifest-digest standalone-sign standalone-verify sync
    """,
}
"""Docker 28.5, podman 5.8, buildah 1.43, skopeo 1.22: what --help lists, and what is hidden there or comes by plugins.
In a line of several words after a group, the first is the group; `+GROUP` goes on with one.
"""
_GROUPS = frozenset(
    (
        *("builder", "buildx", "container", "context", "image", "manifest", "network", "plugin", "system", "trust"),
        *("volume", "swarm", "checkpoint", "config", "node", "secret", "service", "stack", "artifact", "farm"),
        *("generate", "healthcheck", "kube", "machine", "play", "pod", "quadlet", "source"),
    )
)


def recorded(program: str) -> set[Words]:
    """Return the commands of a program, each as its words."""
    found: set[Words] = set()
    for line in RECORDED[program].splitlines():
        first, *rest = line.split() or [""]
        if first.removeprefix("+") in _GROUPS and rest:
            group = first.removeprefix("+")
            found |= {(group,), *((group, word) for word in rest)}
        else:
            found |= {(word,) for word in (first, *rest) if word}
    return found


def told_by(path: str) -> Iterator[Words]:
    """Ask a program for its commands, and these for theirs."""
    for word in _listed(path):
        yield (word,)
        if word in _GROUPS:
            yield from ((word, second) for second in _listed(path, word))


def _listed(*command: str) -> list[str]:
    """Return the words below each heading that ends with "Commands:"."""
    done = subprocess.run([*command, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found, is_list = list[str](), False
    for line in done.stdout.splitlines():
        if not line.startswith(" "):
            is_list = line.rstrip().lower().endswith("commands:")
        elif is_list and (match := re.match(r" {2}([a-z][a-z0-9-]*)", line)):
            found.append(match[1])
    return found
