"""Commands of docker, podman, buildah and skopeo that are none here, and what to do instead: one table.

    WORD          the first word of a command line, or one after a group of ours (groups.py)
    GROUP WORD    that word after that group alone

Docker 28, podman 5.8, buildah 1.43 and skopeo 1.22, and what is said of their plugins. Read only when a command line
begins with no verb. A folder of such a name is a context all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

_NO_DAEMON = "Containers run in the foreground, and end with their 'pybuild run' or 'pybuild start'."
_BY_THE_SHELL = f"{_NO_DAEMON} ps, kill and wait of the shell do."
_END_IT = f"{_NO_DAEMON} Ctrl-C, a signal to that, or 'pybuild rm -f' ends one."
_MANAGER = "Use podman or docker, which manage containers that run for long."
_NO_BUILDERS = "There are no builders to choose from: a build is the process that you start. Leave it out."
_NO_SERVICE = "There is no daemon and no machine to reach: pybuild works on the store of this machine."
_NOTHING_SIGNED = "Signatures are neither made nor checked. Use cosign, podman or skopeo."
_LOOK_INTO_IMAGE = "'pybuild create --name c IMAGE', then 'pybuild mount c -- COMMAND' looks into its files."
_UNMOUNT = "A mount is seen by the command of 'pybuild mount' alone, and ends with it."
_INDEX = (
    "'pybuild inspect --raw docker://NAME' shows one; --platform A,B builds one, and 'pybuild copy --all' copies one."
)

ELSEWHERE: Mapping[str, str] = {
    # Containers that go on without us.
    "logs": "The output of a container goes to the terminal: 'pybuild run … 2>&1 | tee FILE' keeps it.",
    "exec": "'pybuild mount CONTAINER -- COMMAND' looks into its files; 'pybuild start -ai' runs it again.",
    "attach": _NO_DAEMON,
    "stop": _END_IT,
    "kill": _END_IT,
    "restart": f"{_NO_DAEMON} 'pybuild start -ai' runs one again.",
    **dict.fromkeys(("pause", "unpause", "top", "stats", "wait"), _BY_THE_SHELL),
    "rename": "A container is named when it is made: pybuild create --name NAME.",
    "update": "Limits are said when a container is made: see 'pybuild create --help'.",
    "init": "'pybuild create' makes a container that 'pybuild start' runs.",
    **dict.fromkeys(("port", "network", "volume", "pod", "compose", "checkpoint", "healthcheck", "kube"), _MANAGER),
    **dict.fromkeys(("swarm", "node", "service", "stack", "plugin", "quadlet", "play"), _MANAGER),
    "generate": "Use podman, which writes units and pods of containers.",
    **dict.fromkeys(("container checkpoint", "container restore", "container cleanup", "container runlabel"), _MANAGER),
    "container clone": "'pybuild commit CONTAINER NAME', then 'pybuild create NAME' makes another one like it.",
    "container exists": "'pybuild container inspect CONTAINER >/dev/null' succeeds when it is there.",
    "containers": "'pybuild ps -a' lists containers.",
    **dict.fromkeys(("umount", "unmount"), _UNMOUNT),
    "unshare": "'pybuild mount CONTAINER -- COMMAND' enters the user namespace that containers have.",
    # Daemons, and other machines.
    **dict.fromkeys(("events", "machine", "farm", "dial-stdio"), _NO_SERVICE),
    **dict.fromkeys(("system connection", "system service", "system migrate", "system renumber"), _NO_SERVICE),
    "system check": "'pybuild info --verify' checks every blob, name and record of the store.",
    "system reset": "'pybuild prune --whole-store' deletes the store.",
    # Building.
    "bake": "Write a script with a pybuild line for each target.",
    **dict.fromkeys(
        ("debug", "dap"),
        "'pybuild --on-error=shell' opens a shell where a RUN failed, 'pybuild --step' stops after each step.",
    ),
    **{f"{group} {word}": _NO_BUILDERS for group in ("builder", "buildx")
       for word in ("create", "inspect", "install", "ls", "rm", "stop", "uninstall", "use")},
    **{f"{group} history": "'pybuild history IMAGE' shows the steps of an image, --metadata-file those of a build."
       for group in ("builder", "buildx")},
    "imagetools": _INDEX,
    "from": "'pybuild create IMAGE' makes a container; a Dockerfile's FROM begins an image.",
    "add": "Write COPY or ADD into a Dockerfile, or 'pybuild cp FILE CONTAINER:PATH' and 'pybuild commit'.",
    "config": "'pybuild commit --change INSTRUCTION' changes what an image is run with, as a Dockerfile does.",
    "secret": "pybuild --secret id=ID,src=FILE gives a build one; nothing keeps secrets.",
    "import": "A Dockerfile of 'FROM scratch' and 'ADD FILE.tar /' makes an image of a root file system.",
    "mkcw": "No disk images are made.",
    # Images.
    "image diff": "'pybuild explain IMAGE OTHER' compares two images.",
    "image exists": "'pybuild inspect IMAGE >/dev/null' succeeds when it is there.",
    **dict.fromkeys(("image mount", "image unmount"), _LOOK_INTO_IMAGE),
    "image scp": "'pybuild save IMAGE | ssh HOST pybuild load' sends an image.",
    "image tree": "'pybuild images --tree' draws the layers and who shares them.",
    **dict.fromkeys(("image sign", "image trust"), _NOTHING_SIGNED),
    "manifest": _INDEX,
    **dict.fromkeys(("artifact", "source"), "Use podman, buildah or oras for what is no image."),
    "auto-update": "'pybuild pull NAME' says whether its tag has moved.",
    # Registries.
    "list-tags": "'pybuild search --list-tags NAME' lists the tags of a repository.",
    "delete": "Nothing is deleted in a registry from here: use 'skopeo delete'. 'pybuild rmi' removes from the store.",
    "sync": "'pybuild copy SRC DST' copies an image; 'pybuild pull --all-tags NAME' fetches a repository.",
    "layers": "'pybuild copy docker://NAME dir:DIR' fetches the layers of an image.",
    "manifest-digest": "'pybuild inspect --raw IMAGE | sha256sum' computes it.",
    "experimental-image-proxy": "'pybuild copy SRC DST' copies an image.",
    **dict.fromkeys(("trust", "standalone-sign", "standalone-verify", "generate-sigstore-key"), _NOTHING_SIGNED),
    # Docker's plugins.
    **dict.fromkeys(("scout", "sbom"), "No SBOM is made or read. Use docker, syft or trivy."),
    **dict.fromkeys(("ai", "cloud", "desktop", "dev", "extension", "mcp"), "Use docker."),
    **dict.fromkeys(("model", "offload", "sandbox"), "Use docker."),
}  # fmt: skip
"""Command → what to use."""
