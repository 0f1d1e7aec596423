"""ARG: the global scope, the predefined arguments, what an ARG in a stage does (A-1 … A-9).

In: `--build-arg`s, platforms, the ARGs before the first FROM. Out: the global `Scope`, the proxy variables that RUN
gets without asking, and the build args that nobody declares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.dockerfile.instructions import Arg, ArgDefinition, Dockerfile, OnBuild
from builder.oci.platform import Platform
from builder.plan.options import PlanOptions
from builder.plan.predefined import find_predefined
from builder.plan.scope import Expander, Scope

BUILD_ARG = "--build-arg"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
EPOCH = "SOURCE_DATE_EPOCH"
# BuildKit keeps these two out of every environment (dockerfile2llb/convert.go, nonEnvArgs): they speak to its scanner.
NEVER_IN_ENVIRONMENT = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


def predefined(options: PlanOptions, last_stage: str) -> Iterator[tuple[str, str]]:
    """Yield the arguments every FROM may use (A-6)."""
    for prefix, platform in (("BUILD", options.build_platform), ("TARGET", options.platform)):
        yield f"{prefix}PLATFORM", full_name(platform)
        yield f"{prefix}OS", platform.os
        yield f"{prefix}OSVERSION", platform.os_version
        yield f"{prefix}ARCH", platform.architecture
        yield f"{prefix}VARIANT", platform.variant
    # "default" where the last stage has no name, as in BuildKit.
    yield "TARGETSTAGE", options.target or last_stage or "default"


def full_name(platform: Platform) -> str:
    """Return os(version)/architecture/variant, as containerd formats a platform with its version."""
    system = f"{platform.os}({platform.os_version})" if platform.os_version else platform.os
    return "/".join(part for part in (system, platform.architecture, platform.variant) if part)


def global_scope(dockerfile: Dockerfile, options: PlanOptions, expander: Expander, scope: Scope) -> None:
    """Fill `scope` with what FROM lines see: predefined arguments, then the ARGs before the first FROM (A-1)."""
    last_stage = dockerfile.stages[-1].name if dockerfile.stages else ""
    for name, value in predefined(options, last_stage):
        # A build argument takes the place of what is predefined, TARGETPLATFORM as well, as in BuildKit.
        origin = BUILD_ARG if name in options.build_args else "pybuild"
        scope.set(name, options.build_args.get(name, value), origin)
    for arg in dockerfile.global_args:
        for definition in arg.definitions:
            _declare_globally(definition, options.build_args, expander, scope)


def _declare_globally(
    definition: ArgDefinition, build_args: Mapping[str, str], expander: Expander, scope: Scope
) -> None:
    name = definition.name
    scope.declared[name] = definition.location
    # In this order in a stage, too: what somebody gives goes before what the file says.
    if name in build_args:
        scope.set(name, build_args[name], BUILD_ARG)
    elif definition.default is not None:
        scope.set(name, expander.word(definition.default, scope), "ARG", definition.location)


def declare(
    definition: ArgDefinition, scope: Scope, outside: Scope, build_args: Mapping[str, str], expander: Expander
) -> str | None:
    """Carry out one definition of an ARG in a stage and return its value, None for none (A-2, A-3).

    The build arg comes first, then the own default, then the value from outside the stages.
    """
    name, value, origin = definition.name, None, "ARG"
    location = definition.location
    if name in build_args:
        value, origin = build_args[name], BUILD_ARG
    elif definition.default is not None:
        value = expander.word(definition.default, scope)
    elif binding := outside.find(name):
        # Only a stage that declares it sees a value from above the first FROM, and only where it has none of its own.
        value, origin = binding.value, binding.origin
        location = binding.location or location
    scope.declared[name] = definition.location
    # Without any value it stays undefined, which `${v?}` and `${v-x}` tell from an empty one.
    if value is not None and name not in NEVER_IN_ENVIRONMENT:
        scope.set(name, value, origin, location)
    return value


def proxy_environment(build_args: Mapping[str, str]) -> tuple[str, ...]:
    """Return the proxy variables of the build args, in both spellings (A-7)."""
    found: list[str] = []
    for proxy in PROXIES:
        values = [build_args[name] for name in sorted(build_args) if name.upper() == proxy]
        if values:  # lower case is sorted last, and wins where both are given
            found += [f"{proxy}={values[-1]}", f"{proxy.lower()}={values[-1]}"]
    return tuple(found)


def unused_build_args(dockerfile: Dockerfile, options: PlanOptions, used: set[str]) -> tuple[str, ...]:
    """Return the build args that no ARG of the file declares and that have no meaning of their own (Z-16)."""
    declared = used | {name for name, _ in predefined(options, "")}
    # Of all stages, also of those that are not built: a script gives its arguments to every target.
    args = [*dockerfile.global_args]
    for stage in dockerfile.stages:
        for statement in stage.statements:
            if isinstance(statement, Arg):
                args.append(statement)
            elif isinstance(statement, OnBuild):
                declared |= _names_in_trigger(statement.trigger)
    declared |= {definition.name for arg in args for definition in arg.definitions}
    return tuple(
        name
        for name in options.build_args
        if name not in declared and name.upper() not in PROXIES and find_predefined(name) is None
    )


def _names_in_trigger(trigger: str) -> set[str]:
    # Not parsed, since it is no trigger of this build: what looks like a name spares somebody a wrong warning.
    keyword, _, rest = trigger.strip().partition(" ")
    return {word.partition("=")[0] for word in rest.split()} if keyword.upper() == "ARG" else set()
