"""What to tell somebody whose image cannot be had: the registry's answer in → an error with a way out."""

from __future__ import annotations

from builder.errors import PybuildError, RegistryError
from builder.oci.reference import DEFAULT_REGISTRY, Reference
from builder.registry.client import RegistryClient
from builder.store.store import Store
from builder.suggest import most_alike

_POPULAR = (
    "alpine", "amazonlinux", "busybox", "buildpack-deps", "caddy", "centos", "debian", "docker", "eclipse-temurin",
    "elasticsearch", "fedora", "gcc", "golang", "gradle", "haproxy", "hello-world", "httpd", "mariadb", "maven",
    "memcached", "mongo", "mysql", "nginx", "node", "openjdk", "perl", "php", "postgres", "python", "rabbitmq",
    "redis", "registry", "rockylinux", "ruby", "rust", "tomcat", "traefik", "ubuntu", "wordpress",
)  # fmt: skip

_NEAR = 0.75
"""The likeness (0 to 1) of two image names that can be mistaken for each other, as `ubunut` and `ubuntu`."""


def explain(error: RegistryError, reference: Reference, store: Store, client: RegistryClient) -> RegistryError:
    """Return an error that names the image, says why it cannot be had, and what may have been meant."""
    doing = f"failed to resolve source metadata for {reference}"
    if error.status == 0:
        return _because(error, f"{doing}: {error.message}", _local(reference, store) or error.hint)
    if error.status == 404:
        where = f" in registry {reference.registry}"
        hint = _near_tag(reference, client) or _near_name(reference, store)
        return _because(error, f"{doing}: not found{where}", hint or "Check the name and the tag.")
    if error.status in (401, 403):
        # Docker's words: registries hide what is private, so that both cases have one answer.
        reason = "pull access denied, repository does not exist or may require authorization"
        return _because(error, f"{doing}: {reason}", " ".join(filter(None, (_near_name(reference, store), error.hint))))
    return _because(error, f"{doing}: {error.message}", error.hint)


def _because(error: RegistryError, message: str, hint: str) -> RegistryError:
    return RegistryError(message, hint=hint, status=error.status, code=error.code)


def _near_tag(reference: Reference, client: RegistryClient) -> str:
    if not reference.tag:
        return ""
    try:
        tags = client.list_tags(reference, limit=1)
    except PybuildError:
        return ""
    if near := most_alike(reference.tag, tags):
        return f"Did you mean {reference.with_tag(near).familiar}?"
    return f"It has the tags: {', '.join(tags[:8])}{', …' if len(tags) > 8 else ''}." if tags else ""


def _near_name(reference: Reference, store: Store) -> str:
    known = [name for name, _ in store.names.items() if "@" not in name]
    popular = [f"{DEFAULT_REGISTRY}/library/{name}:{reference.tag or 'latest'}" for name in _POPULAR]
    wanted = str(reference)
    near = next((name for name in [*known, *popular] if _is_near(wanted, name)), "")
    if not near:
        return ""
    return f"Did you mean {near.removeprefix(f'{DEFAULT_REGISTRY}/').removeprefix('library/').removesuffix(':latest')}?"


def _is_near(wanted: str, name: str) -> bool:
    """Say whether two names are alike in what they do not share: `docker.io/library/` and `:latest` are no likeness."""
    wanted_parts, parts = wanted.split("/"), name.split("/")
    while len(wanted_parts) > 1 and len(parts) > 1 and wanted_parts[0] == parts[0]:
        wanted_parts, parts = wanted_parts[1:], parts[1:]
    (mine, mine_tag), (other, other_tag) = _split(wanted_parts), _split(parts)
    if mine == other:
        return mine_tag != other_tag
    return mine_tag == other_tag and bool(most_alike(mine, [other], cutoff=_NEAR))


def _split(parts: list[str]) -> tuple[str, str]:
    """Return the name that path components make, and its tag."""
    last, _, tag = parts[-1].partition(":")
    return "/".join([*parts[:-1], last]), tag


def _local(reference: Reference, store: Store) -> str:
    """Return the hint for when no registry can be reached: the images of the store with such a name."""
    near = _near_name(reference, store)
    names = [name for name, _ in store.names.items() if name.startswith(f"{reference.name}:")]
    if names:
        return f"The store has {', '.join(names[:5])}."
    return f"{near} No network is needed for images in the store." if near else ""
