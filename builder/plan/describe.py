"""A plan as text for people: the steps, what they read, the image that comes out. The goldens of tests/plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from builder.plan.plan import Plan
from builder.plan.step import (
    BindMount,
    CacheMount,
    ContextSource,
    CopyOp,
    CopySource,
    GitSource,
    HttpSource,
    ImageOp,
    InlineSource,
    Mount,
    Op,
    Paths,
    RunOp,
    SecretMount,
    SshMount,
    Step,
    StepID,
    StepSource,
    TmpfsMount,
    WorkdirOp,
)
from builder.web.address import without_credentials


def describe(plan: Plan) -> str:
    """Return the plan as lines of text, ending in a newline."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"target {plan.target} for {plan.platform}"
    for step in plan.steps:
        yield f"{step.id:>3}  {step.title}"
        yield from (f"       {line}" for line in _step(step))
    yield f"image: {_place(plan.image.result)}, {plan.image.config.platform}"
    for key, value in sorted(plan.image.config.runtime.to_json().items()):
        yield f"       {key} {value}"
    if plan.image.config.author:
        yield f"       author {plan.image.config.author}"
    yield "history:"
    for record in plan.image.history:
        yield f"  {_place(record.step):>7}  {record.created_by!r}"
    yield from _remarks(plan)


def _remarks(plan: Plan) -> Iterator[str]:
    for warning in plan.warnings:
        line = f" (line {warning.location.line})" if warning.location else ""
        yield f"warning: {warning.rule}: {warning.message}{line}"
    if plan.contexts:
        yield "contexts: " + ", ".join(name or "(main)" for name in plan.contexts)
    for reference, platform, _ in plan.inputs:
        yield f"input: {reference} for {platform}"
    if plan.unused_build_args:
        yield "unused build args: " + ", ".join(plan.unused_build_args)
    if plan.epoch:
        yield f"epoch: {plan.epoch}"
    if plan.hostname:
        yield f"hostname: {plan.hostname}"


def _place(step: StepID | None) -> str:
    return "-" if step is None else f"step {step}"


def _step(step: Step[Op]) -> Iterator[str]:
    if step.parent is not None:
        yield f"on step {step.parent}"
    match step.op:
        case ImageOp() as op:
            yield f"image {op.reference} for {op.platform}"
        case RunOp() as op:
            yield from _run(op)
        case CopyOp() as op:
            yield from _copy(op)
        case WorkdirOp() as op:
            yield f"make {op.path}" + (f" for {op.user}" if op.user else "")
        case _:
            assert_never(step.op)
    if step.no_cache:
        yield "without the cache"


def _run(op: RunOp) -> Iterator[str]:
    yield f"run {list(op.argv)}"
    yield f"in {op.cwd} as {op.user or 'root'} for {op.platform}, network {op.network}, {op.security}"
    for pair in op.env:
        yield f"env {pair}"
    for pair in op.proxy_env:
        yield f"proxy {pair}"
    for mount in op.mounts:
        yield _mount(mount)
    if op.script:
        yield f"script {op.script_path} {op.script!r}"


def _copy(op: CopyOp) -> Iterator[str]:
    for source in op.sources:
        yield _source(source)
    options = [
        text
        for text, shown in (
            (f"chown {op.chown}", op.chown),
            (f"chmod {op.chmod}", op.chmod),
            ("link", op.link),
            ("parents", op.parents),
            (f"exclude {list(op.exclude)}", op.exclude),
            ("add", op.is_add),
            (f"unpack {op.unpack}", op.unpack is not None),
        )
        if shown
    ]
    yield " ".join([f"to {op.destination}", *options])


def _source(source: CopySource) -> str:
    match source:
        case Paths():
            return f"from {_tree(source.source)}: {list(source.paths)}"
        case InlineSource():
            return f"inline {source.name} {source.content!r}"
        case HttpSource():
            return f"http {without_credentials(source.url)}" + (f" {source.checksum}" if source.checksum else "")
        case GitSource():
            return f"git {replace(source, remote=without_credentials(source.remote))}"
    assert_never(source)


def _mount(mount: Mount) -> str:
    match mount:
        case BindMount():
            mode = "ro" if mount.readonly else "rw"
            return f"bind {mount.target} {mode} from {_tree(mount.source)}: /{mount.subpath}"
        case CacheMount() | TmpfsMount() | SecretMount() | SshMount():
            return f"mount {mount}"
    assert_never(mount)


def _tree(source: ContextSource | StepSource) -> str:
    if isinstance(source, ContextSource):
        return f"context {source.name or '(main)'}"
    return "nothing" if source.step is None else f"step {source.step}"
