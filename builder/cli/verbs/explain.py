"""`pybuild explain`: what each step of an image added and hid, why it ran, and what its names are the digests of."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from builder.cli.arguments import new_store_parser, root_of
from builder.cli.display.explained import explanation_lines, layer_names, markdown_lines, text_of, unknown_lines
from builder.cli.display.explained_files import (
    FileLine,
    changed_by,
    counts_of,
    story_lines,
    tree_of_step,
    waste_lines,
)
from builder.cli.display.explained_ids import comparison_lines, id_lines
from builder.cli.display.text import clean, print_note, size_text
from builder.cli.display.transfers import PULLED, LateTransferDisplay
from builder.cli.display.why import foretold_lines, foretold_to_json, why_lines
from builder.cli.verbs.explain_limits import limits_of
from builder.cli.verbs.interactive import check_interactive, look
from builder.engine.build_record import BuildRecord
from builder.engine.comparing import compare_images
from builder.engine.explain_page import explain_page
from builder.engine.explaining import Explained, open_explained, step_named
from builder.engine.foretell import foretell
from builder.engine.step_graph import StepNode, graph_of_record
from builder.engine.why import why
from builder.errors import PybuildError, UsageError
from builder.explain.dive import dive_score
from builder.explain.model import ExplainedStep
from builder.explain.page.inputs import LANGUAGES
from builder.filesystem.unfinished import written

_MOST_WASTE = 30


def explain_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild explain`."""
    parser = new_store_parser("explain", "Show how an image is made of layers: what each step added, hid and cost.")
    parser.usage = "pybuild explain [OPTIONS] IMAGE [STEP | IMAGE]"
    parser.add_argument(
        "image", metavar="IMAGE", help="of the store, or with a transport (oci-archive:x.tar, docker://…)"
    )
    parser.add_argument(
        "other", nargs="?", metavar="STEP | IMAGE", help="the files of one step (3, STAGE:3, L2); or another image"
    )
    parser.add_argument(
        "-i", "--interactive", action="store_true", help="steps and files on the terminal, with the keys of dive"
    )
    parser.add_argument("--file", metavar="PATH", help="every layer that touched a path, and which one is seen")
    parser.add_argument("--waste", action="store_true", help="hidden files, and who hides them")
    parser.add_argument("--ids", action="store_true", help="every digest, and the command that computes it")
    parser.add_argument("--why", action="store_true", help="all that was different for each step that ran; or for STEP")
    parser.add_argument(
        "--if-changed", nargs="+", action="extend", default=[], metavar="PATH",
        help="which steps an edit of these files of the context would run again, and what it would cost",
    )  # fmt: skip
    parser.add_argument("--html", metavar="FILE", help="write a page that shows all of it, without network or server")
    parser.add_argument("--with", dest="beside", metavar="IMAGE", help="with --html: a second image, what both share")
    parser.add_argument(
        "--contents", action="store_true", help="with --html: put in small layers, and values of secrets"
    )
    parser.add_argument("--lang", default="en", choices=LANGUAGES, help="with --html: the language of the page")
    parser.add_argument("--depth", type=int, default=0, metavar="N", help="how deep the tree of a step goes")
    parser.add_argument("--platform", default="", help="which image of an index (default: this machine's)")
    parser.add_argument(
        "--format", default="table", choices=("table", "json", "md"), help="md is Markdown, for a summary in CI"
    )
    parser.add_argument("--max-waste", metavar="SIZE", help="exit 1 when more is hidden: 10MB, 5%%")
    parser.add_argument("--max-layer", metavar="SIZE", help="exit 1 when a layer that is not the base's is larger")
    return parser


def explain_command(argv: list[str]) -> int:
    """Explain an image; return 1 when a limit that was given is exceeded."""
    # Intermixed, as STEP may stand behind a flag: explain IMAGE --why STEP.
    arguments = explain_parser().parse_intermixed_args(argv)
    views = {
        "--file": arguments.file, "--waste": arguments.waste, "--ids": arguments.ids, "--why": arguments.why,
        "--if-changed": arguments.if_changed, "--html": arguments.html,
        "STEP": arguments.other if not arguments.why else None,
    }  # fmt: skip
    chosen = [word for word, value in views.items() if value]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} show different things", hint="Ask for one of them at a time.")
    _require_html(arguments)
    limits = limits_of(arguments)
    if arguments.interactive:
        check_interactive([word for word in chosen if word != "STEP"], arguments.format)
    with _opened(arguments, arguments.image) as explained:
        if arguments.interactive:
            look(explained, arguments.other)
        elif arguments.html:
            _write_page(arguments, explained)
        else:
            _print(_view(arguments, explained))
        faults = list(limits.exceeded(explained.explanation))
    for fault in faults:
        print(f"pybuild: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _require_html(arguments: argparse.Namespace) -> None:
    given = {"--with": arguments.beside, "--contents": arguments.contents, "--lang": arguments.lang != LANGUAGES[0]}
    for flag, value in given.items():
        if value and not arguments.html:
            raise UsageError(f"{flag} is about the page", hint=f"Name its file: --html page.html {flag}")


def _write_page(arguments: argparse.Namespace, explained: Explained) -> None:
    with ExitStack() as stack:
        second = stack.enter_context(_opened(arguments, arguments.beside)) if arguments.beside else None
        page = explain_page(explained, other=second, contents=arguments.contents, language=arguments.lang)
    try:
        with written(arguments.html) as file:
            file.write(page)
    except OSError as error:
        raise UsageError(f"cannot write {arguments.html}: {error.strerror}") from error
    print_note(f"wrote {arguments.html}: {size_text(len(page))}")


def _view(arguments: argparse.Namespace, explained: Explained) -> Iterator[str]:
    if arguments.why:
        yield from _why(arguments, explained)
    elif arguments.other is not None:
        step = step_named(explained.explanation, arguments.other)
        if step is not None:
            yield from _step(arguments, explained, step)
            return
        with _opened(arguments, arguments.other) as second:
            yield from _comparison(arguments, explained, second)
    elif arguments.file is not None:
        yield from _file(arguments, explained)
    elif arguments.if_changed:
        yield from _if_changed(arguments, explained)
    elif arguments.waste:
        yield from _waste(arguments, explained)
    elif arguments.ids:
        yield from _ids(arguments, explained)
    else:
        yield from _whole(arguments, explained)


@contextmanager
def _opened(arguments: argparse.Namespace, image: str) -> Iterator[Explained]:
    with ExitStack() as stack:
        with LateTransferDisplay(PULLED, sys.stderr) as sink:
            explained = stack.enter_context(
                open_explained(root_of(arguments), image, platform=arguments.platform, notify=print_note, sink=sink)
            )
        yield explained


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _width() -> int:
    return os.get_terminal_size().columns if sys.stdout.isatty() else 0


def _whole(arguments: argparse.Namespace, explained: Explained) -> Iterator[str]:
    if arguments.format == "json":
        yield json.dumps(explained.explanation.to_json(), indent=2)
    elif arguments.format == "md":
        yield from markdown_lines(explained.explanation)
    else:
        yield from explanation_lines(explained.explanation, width=_width(), colour=_colour())


def _step(arguments: argparse.Namespace, explained: Explained, step: ExplainedStep) -> Iterator[str]:
    stack = explained.stack_of(step)
    layers = range(len(stack) - len(step.layers), len(stack))
    lines = list(changed_by(explained.stories(stack), layers)) if step.layers else []
    if arguments.format == "json":
        yield json.dumps([_file_json(line) for line in lines if line.letter], indent=2)
        return
    yield text_of(step)
    if not step.layers:
        yield (
            "the image of another stage, or one that is only copied from: its layers are no part of this image"
            if step.cache == "base"
            else "it makes no layer: it only edits the config"
        )
        return
    missing = [layer.missing for at in step.layers if (layer := explained.explanation.layers[at]).missing]
    if missing:
        yield f"! {clean(missing[0])}"
        if len(missing) == len(step.layers):
            return
    made = [explained.explanation.layers[at] for at in step.layers]
    yield f"{layer_names(made) if made[0].in_image else 'a layer that is not in the image'}: {counts_of(lines)}"
    yield ""
    yield from tree_of_step(lines, depth=arguments.depth, colour=_colour())


def _file_json(line: FileLine) -> dict[str, object]:
    entry = line.entry
    return {
        "path": line.path, "change": {"A": "added", "M": "modified", "D": "deleted", "=": "same"}[line.letter],
        "kind": entry.kind, "mode": f"{entry.mode:04o}", "uid": entry.uid, "gid": entry.gid, "size": entry.size,
        "link": entry.link, "differences": list(line.words),
    }  # fmt: skip


def _file(arguments: argparse.Namespace, explained: Explained) -> Iterator[str]:
    path = os.path.normpath("/" + arguments.file).strip("/")
    story = next((story for story in explained.stories() if story.path == path), None)
    unknown = explained.explanation.unknown
    if story is None:
        raise PybuildError(
            f"no layer of {explained.explanation.name} has /{path}",
            hint=f"L{unknown[0].number} cannot be looked into: {unknown[0].missing}"
            if unknown
            else "A folder on the way may be a symbolic link.",
        )
    if arguments.format == "json":
        rows = [
            version._asdict()
            | {"entry": version.entry._asdict() | {"xattrs": [name for name, _ in version.entry.xattrs]}}
            for version in story.versions
        ]
        yield json.dumps(rows, indent=2)
        return
    yield from unknown_lines(explained.explanation, colour=_colour())
    yield from story_lines(explained.explanation, story, width=_width(), colour=_colour())


def _why(arguments: argparse.Namespace, explained: Explained) -> Iterator[str]:
    record, nodes = _recorded(explained)
    steps = [each for each in why(record) if each.node in nodes]
    if arguments.other is not None:
        asked = step_named(explained.explanation, arguments.other)
        if asked is None:
            raise UsageError(f"{arguments.other!r} is no step", hint="Write its number: 3, or STAGE:3.")
        is_asked = [_is_of(each.node, asked) for each in steps]
        steps = [each for each, is_it in zip(steps, is_asked, strict=True) if is_it]
    if arguments.format == "json":
        yield json.dumps([each.to_json() for each in steps], indent=2)
        return
    yield from why_lines(steps)


def _is_of(node: StepNode, step: ExplainedStep) -> bool:
    # Two stages that do the same have one step, which is called after the first of them.
    return node.key == step.key if step.key else (node.stage, node.number) == (step.stage, step.number)


def _if_changed(arguments: argparse.Namespace, explained: Explained) -> Iterator[str]:
    record, nodes = _recorded(explained)
    found = foretell(explained.store, nodes, arguments.if_changed, dockerfile=record.dockerfile[0])
    if arguments.format == "json":
        yield json.dumps(foretold_to_json(found), indent=2)
        return
    yield from foretold_lines([found])


def _recorded(explained: Explained) -> tuple[BuildRecord, tuple[StepNode, ...]]:
    """Return the record of the image's build, and its steps. Raises PybuildError when there is none."""
    if explained.record is None or explained.report is None:
        raise PybuildError(
            f"there is no record of a build of {explained.explanation.name}",
            hint="Builds leave one in the store they build to; of other images their history alone is known.",
        )
    platform = explained.report.platform
    return explained.record, tuple(node for node in graph_of_record(explained.record) if node.platform == platform)


def _waste(arguments: argparse.Namespace, explained: Explained) -> Iterator[str]:
    dive = dive_score(explained.stories())
    if arguments.format == "json":
        totals = explained.totals
        files = [file._asdict() | {"layer": file.layer + 1, "hidden_by": file.hidden_by + 1} for file in totals.hidden]
        yield json.dumps(
            {
                "stored": totals.stored,
                "hidden": totals.wasted,
                "files": files,
                "dive": dive._asdict(),
                "unknown_layers": [layer.number for layer in explained.explanation.unknown],
            },
            indent=2,
        )
        return
    yield from unknown_lines(explained.explanation, colour=_colour())
    most = sys.maxsize if not sys.stdout.isatty() else _MOST_WASTE
    yield from waste_lines(explained.explanation, explained.totals, dive, most=most, width=_width(), colour=_colour())


def _ids(arguments: argparse.Namespace, explained: Explained) -> Iterator[str]:
    if arguments.format == "json":
        ids = [
            {"layer": each.number, "diff_id": each.diff_id, "chain_id": each.chain_id, "digest": each.digest}
            for each in explained.explanation.own
        ]
        names = {"image_id": explained.explanation.image_id, "manifest": explained.explanation.manifest}
        yield json.dumps(names | {"layers": ids}, indent=2)
        return
    yield from id_lines(explained.explanation, os.path.join(explained.store.root, "blobs", "sha256"), colour=_colour())


def _comparison(arguments: argparse.Namespace, first: Explained, second: Explained) -> Iterator[str]:
    found = compare_images(first, second)
    if arguments.format == "json":
        yield json.dumps(found.to_json(), indent=2)
        return
    for each in (first.explanation, second.explanation):
        yield from unknown_lines(each, colour=_colour())
    yield from comparison_lines(first.explanation, second.explanation, found, colour=_colour())
