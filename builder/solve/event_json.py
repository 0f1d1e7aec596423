"""Events as JSON and back: what `--progress=rawjson` prints a line of, and what a build record keeps.

    {"event": "step-started", "step": 3, "title": "[2/3] RUN make", "reason": "…"}

The members are the fields of the event; those that are as they are by default are left out. Output that is no UTF-8
keeps its bytes as lone surrogates (PEP 383).
"""

from __future__ import annotations

from builder import errors
from builder.errors import Location, PybuildError, RegistryError, SourceError, StepFailed
from builder.oci.canonical import JsonObject
from builder.solve import events as e
from builder.solve.difference import Difference

NAMES: dict[type[e.Event], str] = {
    e.BuildStarted: "build-started",
    e.StepStarted: "step-started",
    e.StepOutput: "step-output",
    e.StepCached: "step-cached",
    e.StepFinished: "step-finished",
    e.StepErrored: "step-failed",
    e.StepCancelled: "step-cancelled",
    e.Noted: "note",
    e.Warned: "warning",
    e.BlobProgress: "blob",
    e.ImageWritten: "image-written",
}
_EVENTS = {name: kind for kind, name in NAMES.items()}


def name_of(event: e.Event) -> str:
    """Return what an event is called where machines read it."""
    return NAMES[type(event)]


def event_to_json(event: e.Event) -> JsonObject:
    """Return an event as an object."""
    defaults = event._field_defaults
    document: JsonObject = {"event": name_of(event)}
    for name, value in event._asdict().items():
        # A record keeps every event of a build but output: most of their members say nothing.
        if name not in defaults or value != defaults[name]:
            document[name] = encoded(value)
    return document


def event_from_json(document: JsonObject) -> e.Event:
    """Return the event that an object says. Raises KeyError, TypeError, ValueError for one that says none."""
    fields = {name: value for name, value in document.items() if name != "event"}
    kind = _EVENTS[document["event"]]
    if "line" in fields:
        fields["line"] = fields["line"].encode("utf-8", "surrogateescape")
    if "error" in fields:
        fields["error"] = error_from_json(fields["error"])
    if "location" in fields:
        fields["location"] = _location(fields["location"])
    if "differences" in fields:
        fields["differences"] = tuple(Difference(**each) for each in fields["differences"])
    if "names" in fields:
        fields["names"] = tuple(fields["names"])
    return kind(**fields)


def difference_to_json(difference: Difference) -> dict[str, str]:
    """Return a difference as an object, without the members that say nothing."""
    return {name: value for name, value in difference._asdict().items() if value or name in ("kind", "words")}


def location_to_json(location: Location | None) -> dict[str, object] | None:
    """Return a location as an object, without the members that are unknown."""
    return {key: value for key, value in location._asdict().items() if value} if location else None


def error_to_json(error: PybuildError) -> JsonObject:
    """Return an error as data (docs/errors.md)."""
    document: JsonObject = {"kind": type(error).__name__, "message": error.message, "exit_code": error.exit_code}
    if error.hint:
        document["hint"] = error.hint
    if isinstance(error, SourceError):
        if error.location:
            document["location"] = location_to_json(error.location)
        if error.others:
            document["others"] = [error_to_json(other) for other in error.others]
    if isinstance(error, RegistryError):
        document |= {name: value for name, value in (("status", error.status), ("code", error.code)) if value}
    if isinstance(error, StepFailed):
        document["step"] = error.step
        document["command_exit_code"] = error.command_exit_code
        document["tail"] = list(error.tail)
    return document


def error_from_json(document: JsonObject) -> PybuildError:
    """Return an error with what `error_to_json` says of it. Raises KeyError, TypeError, ValueError."""
    kind = getattr(errors, document["kind"], None)
    # The name comes out of a file: it must lead to nothing else that this module holds.
    if not (isinstance(kind, type) and issubclass(kind, PybuildError)):
        raise ValueError(f"{document['kind']!r} is no error of ours")
    error: PybuildError = kind(document["message"], hint=document.get("hint", ""))
    if isinstance(error, SourceError):
        error.location = _location(document["location"]) if "location" in document else None
        others = (error_from_json(other) for other in document.get("others", ()))
        error.others = tuple(other for other in others if isinstance(other, SourceError))
    if isinstance(error, RegistryError):
        error.status, error.code = document.get("status", 0), document.get("code", "")
    if isinstance(error, StepFailed):
        error.step, error.command_exit_code = document["step"], document["command_exit_code"]
        error.tail = tuple(document["tail"])
    return error


def _location(document: JsonObject) -> Location:
    known: JsonObject = {"file": "", "line": 0}
    return Location(**known | document)


def encoded(value: object) -> object:
    """Return a field of an event as JSON."""
    match value:
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case PybuildError():
            return error_to_json(value)
        case Location():
            return location_to_json(value)
        case (Difference(), *_):
            return [difference_to_json(each) for each in value if isinstance(each, Difference)]
        case _:
            return value
