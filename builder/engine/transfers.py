"""The verbs between the store and registries: pull, push, search, and credentials.

In: the store's path and what people type. Out: values; `sink` is told how far each blob is. Words are docker's, since
scripts read them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from builder.engine.build_record import record_of
from builder.engine.carried_record import ARTIFACT_TYPE, carried_to_bytes, keep_carried
from builder.engine.short_names import local_name
from builder.errors import StoreError, UsageError
from builder.image.image import Image
from builder.image.timestamp import format_timestamp
from builder.oci.descriptor import Descriptor
from builder.oci.digest import Digest, parse_digest
from builder.oci.platform import Platform, host_platform, parse_platform
from builder.oci.reference import DEFAULT_REGISTRY, Reference, parse_reference, says_tag
from builder.registry.client import RegistryClient
from builder.registry.configuration import find_alias
from builder.registry.connection import Connection
from builder.registry.credential_files import erase_credentials, store_credentials
from builder.registry.credential_helper import Credentials
from builder.registry.login import verify_login
from builder.solve import events
from builder.store.store import Notify, Store, open_store
from builder.transport.attachments import attach
from builder.transport.conversion import FORMS
from builder.transport.packing_choice import Packing
from builder.transport.present import find_layer, load_manifest
from builder.transport.progress import PRESENT, BlobState, Report
from builder.transport.push import push_image
from builder.transport.resolver import Resolver


class Pulled(NamedTuple):
    """One name that was pulled. `before` is what it stood for until then: empty when the store had not got it."""

    name: Reference
    digest: Digest
    before: str

    @property
    def is_new(self) -> bool:
        """Whether the name stands for something else than before."""
        return self.before != self.digest


class Pushed(NamedTuple):
    """One name that was pushed: the digest that it can be pulled by, and the size of that manifest in bytes."""

    name: Reference
    digest: Digest
    size: int
    record_size: int = 0
    """Bytes of the build record that was attached; 0 for none."""


class Found(NamedTuple):
    """A repository that a search found. Registries without an index of their own give the name alone."""

    name: str
    description: str = ""
    stars: int = 0
    is_official: bool = False


def pull(
    root: str,
    name: str,
    *,
    platform: str = "",
    all_tags: bool = False,
    record: bool = False,
    sink: events.EventSink = events.ignore_events,
    notify: Notify,
) -> Iterator[Pulled]:
    """Pull an image, or every tag of a repository; yield each name as it is here. Raises PybuildError.

    `record` takes the record of its build along, where one is attached.
    """
    wanted = parse_platform(platform) if platform else host_platform()
    with open_store(root, notify=notify) as store, store.lease():
        reference, client = parse_reference(name), RegistryClient(notify=notify)
        references = [reference]
        if all_tags:
            if says_tag(name):
                raise UsageError("--all-tags goes with a name without a tag", hint=f"Write {reference.name}.")
            references = [reference.with_tag(tag) for tag in client.list_tags(reference)]
        report = events.report_to(sink)
        resolver = Resolver(store, pull=True, report=report, client=client)
        for each in references:
            pulled = _pull(store, each, resolver, wanted, report)
            if record:
                data = resolver.attached(each, pulled.digest, ARTIFACT_TYPE)
                if data is None:
                    notify(f"{each.familiar} has no build record attached")
                else:
                    keep_carried(store, pulled.digest, data)
            yield pulled


def name_to_pull(text: str, *, notify: Notify) -> str:
    """Return the name that a pull of `text` asks a registry for; an alias is told. Raises PybuildError."""
    if found := find_alias(text):
        notify(f"{text} stands for {found}: an alias of registries.conf")
    return found or text


def _pull(store: Store, name: Reference, resolver: Resolver, platform: Platform, report: Report) -> Pulled:
    # Asked before the name is given anew, to say whether an image is newer, in docker's words.
    before = store.names.find(name.pinned)
    resolved = resolver.resolve(str(name), platform)
    pulled = Pulled(name, store.names.get(name.pinned).digest, before.digest if before else "")
    try:
        if pulled.is_new:
            _tell_present(load_manifest(store, parse_digest(resolved.manifest_digest)), store, report)
        # resolve() needs the config alone, which is all that a plan asks for; a pull wants the layers here.
        resolver.layers(resolved.manifest_digest)
    except BaseException:
        _take_back(store, name.pinned, before)
        raise
    return pulled


def _tell_present(image: Image, store: Store, report: Report) -> None:
    """Report the layers that other images have brought: only those that differ will move."""
    for diff_id, layer in zip(image.config.diff_ids, image.manifest.layers, strict=True):
        if find_layer(store, layer, diff_id) is not None:
            report(BlobState(layer.digest, PRESENT, layer.size))


def _take_back(store: Store, name: Reference | str, before: Descriptor | None) -> None:
    """Let a name stand for what it did: not all of what it would stand for has come. The blobs that have are kept."""
    part = store.names.find(name)
    if part is None or part == before:
        return
    if before is None:
        store.names.delete(name)
        return
    store.names.set(name, before)
    if part.digest != before.digest and not store.names.names_of(part.digest):
        store.names.forget([part.digest])  # else it would be a dangling image


def push(
    root: str,
    name: str,
    *,
    all_tags: bool = False,
    compression: str = "gzip",
    form: str = "",
    record: bool = False,
    sink: events.EventSink = events.ignore_events,
    notify: Notify,
) -> Iterator[Pushed]:
    """Push an image, or all tags of a repository; yield each as the registry has it. Raises PybuildError.

    `record` attaches the record of its build, for `explain` elsewhere.
    """
    if FORMS.get(form) == "docker" and compression == "zstd":
        raise UsageError("--format docker knows no zstd", hint="Leave out --compression, or push --format oci.")
    reference = parse_reference(name)
    if reference.digest:
        raise UsageError(f"{name} has a digest; what is pushed has a name without one")
    if all_tags and says_tag(name):
        raise UsageError("--all-tags goes with a name without a tag", hint=f"Write {reference.name}.")
    with open_store(root, notify=notify) as store, store.lease():
        references = _tags_of(store, reference) if all_tags else [reference]
        client = RegistryClient()
        for each in references:
            image = store.names.find(each)
            if image is None:
                hint = "`pybuild images` lists those there are; `pybuild tag` gives one another name."
                if (meant := local_name(store, name)) != name:
                    hint = f"{name} is an alias here of {meant}: push it by that name, or give it another one."
                raise StoreError(f"an image does not exist locally with the tag: {each.familiar}", hint=hint)
            packing = Packing(compression=compression, force=FORMS.get(form) == "docker")  # type: ignore[arg-type]  # the command line has the choices
            top = push_image(
                store, image, each, client, packing=packing, form=FORMS.get(form), report=events.report_to(sink)
            )
            attached = _attach_record(store, image, each, top, client) if record else 0
            yield Pushed(each, top.digest, top.size, attached)


def _attach_record(store: Store, image: Descriptor, name: Reference, top: Descriptor, client: RegistryClient) -> int:
    """Attach the record of an image's build, and return its bytes."""
    found = record_of(store, image.digest)
    if found is None:
        raise StoreError(
            f"no record of the build of {name.familiar} is here",
            hint="The image is pushed; build it here for a record.",
        )
    data = carried_to_bytes(store, found)
    attach(client, name, top, ARTIFACT_TYPE, data, format_timestamp(found.began))
    return len(data)


def _tags_of(store: Store, repository: Reference) -> list[Reference]:
    references = [parse_reference(name) for name, _ in store.names.items() if "@" not in name]
    found = [reference for reference in references if reference.name == repository.name]
    if not found:
        raise StoreError(f"an image does not exist locally with the name: {repository.name}")
    return found


def search(term: str, *, limit: int = 25) -> tuple[Found, ...]:
    """Return the repositories that match `term`: of Docker Hub, or for `host/term` of that registry's catalogue.

    Raises RegistryError.
    """
    host, slash, rest = term.partition("/")
    client = RegistryClient()
    # docker's rule for what is a host and what a user of its Hub (moby registry/search.go, splitReposSearchTerm).
    if slash and ("." in host or ":" in host or host == "localhost") and host != DEFAULT_REGISTRY:
        names = [name for name in client.list_repositories(host) if rest in name]
        return tuple(Found(f"{host}/{name}") for name in names[:limit])
    found = client.search(rest if host == DEFAULT_REGISTRY else term, limit)
    return tuple(
        Found(
            str(entry.get("name", "")),
            str(entry.get("description") or ""),
            int(entry.get("star_count") or 0),
            bool(entry.get("is_official")),
        )
        for entry in found
    )


def list_tags(name: str, *, limit: int | None = None) -> Sequence[str]:
    """Return the tags of a repository. Raises RegistryError."""
    return RegistryClient().list_tags(parse_reference(name), limit)[:limit]


def login(registry: str, username: str, password: str, environ: Mapping[str, str] = os.environ) -> str:
    """Have a registry check a user's password, and keep it; return where it is kept. Raises RegistryError."""
    kept = verify_login(registry, Credentials(username, password), Connection(), environ)
    return store_credentials(registry, kept, environ)


def logout(registry: str, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Forget the credentials of a registry; return where they were. Raises RegistryError."""
    return erase_credentials(registry, environ)
