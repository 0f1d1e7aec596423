"""The rules: BuildKit's 22 by their names, and the ones we add.

A rule of BuildKit has its description and its page word for word, because people look for them. Ours are quieter: an
`optional` rule runs only when `# check=experimental=` (or the caller) asks for it. A note is shown by `--check`
unasked; it is for learners, and its page is a lesson of the course (docs/checks.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PAGES = "https://docs.docker.com/go/dockerfile/rule/"
_COURSE = "docs/course/"
_LAYERS, _CONFIG, _WHITEOUTS = "01-image-and-layers", "02-config", "03-copy-up-and-whiteouts"
_CACHE, _SIZE, _STAGES = "05-cache", "06-order-and-size", "07-multi-stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    description: str
    optional: bool = False
    """Off until it is named; BuildKit calls such rules experimental."""
    ours: bool = False
    note: bool = False
    """Shown by a check unless it is skipped; it changes no exit code unless it is asked for."""
    lesson: str = ""
    """The file below docs/course/ that explains it."""

    @property
    def url(self) -> str:
        """Return the page about the rule: BuildKit's, or for a rule of ours its place in the course, or ""."""
        if self.lesson:
            return f"{_COURSE}{self.lesson}.md#check-{self.name.lower()}"
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        return "" if self.ours else f"{_PAGES}{words.lower()}/"


def _note(name: str, lesson: str, description: str) -> Rule:
    return Rule(name=name, description=description, optional=True, ours=True, note=True, lesson=lesson)


STAGE_NAME_CASING = Rule(name="StageNameCasing", description="Stage names should be lowercase")
FROM_AS_CASING = Rule(name="FromAsCasing", description="The 'as' keyword should match the case of the 'from' keyword")
NO_EMPTY_CONTINUATION = Rule(
    name="NoEmptyContinuation", description="Empty continuation lines will become errors in a future release"
)
CONSISTENT_INSTRUCTION_CASING = Rule(
    name="ConsistentInstructionCasing",
    description="All commands within the Dockerfile should use the same casing (either upper or lower)",
)
DUPLICATE_STAGE_NAME = Rule(name="DuplicateStageName", description="Stage names should be unique")
RESERVED_STAGE_NAME = Rule(name="ReservedStageName", description="Reserved words should not be used as stage names")
JSON_ARGS_RECOMMENDED = Rule(
    name="JSONArgsRecommended",
    description=("JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"),
)
MAINTAINER_DEPRECATED = Rule(
    name="MaintainerDeprecated",
    description="The MAINTAINER instruction is deprecated, use a label instead to define an image author",
)
UNDEFINED_ARG_IN_FROM = Rule(name="UndefinedArgInFrom", description="FROM command must use declared ARGs")
WORKDIR_RELATIVE_PATH = Rule(
    name="WorkdirRelativePath",
    description=(
        "Relative workdir without an absolute workdir declared within the build can have unexpected results "
        "if the base image changes"
    ),
)
UNDEFINED_VAR = Rule(name="UndefinedVar", description="Variables should be defined before their use")
MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule(
    name="MultipleInstructionsDisallowed",
    description="Multiple instructions of the same type should not be used in the same stage",
)
LEGACY_KEY_VALUE_FORMAT = Rule(
    name="LegacyKeyValueFormat",
    description="Legacy key/value format with whitespace separator should not be used",
)
INVALID_BASE_IMAGE_PLATFORM = Rule(
    name="InvalidBaseImagePlatform", description="Base image platform does not match expected target platform"
)
REDUNDANT_TARGET_PLATFORM = Rule(
    name="RedundantTargetPlatform",
    description=("Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"),
)
SECRETS_USED_IN_ARG_OR_ENV = Rule(
    name="SecretsUsedInArgOrEnv", description="Sensitive data should not be used in the ARG or ENV commands"
)
INVALID_DEFAULT_ARG_IN_FROM = Rule(
    name="InvalidDefaultArgInFrom",
    description="Default value for global ARG results in an empty or invalid base image name",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule(
    name="FromPlatformFlagConstDisallowed", description="FROM --platform flag should not use a constant value"
)
COPY_IGNORED_FILE = Rule(
    name="CopyIgnoredFile", description="Attempting to Copy file that is excluded by .dockerignore"
)
INVALID_DEFINITION_DESCRIPTION = Rule(
    name="InvalidDefinitionDescription",
    description=(
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. "
        "If this is not intended to be a description comment, add an empty line or comment between the "
        "instruction and the comment."
    ),
    optional=True,
)
EXPOSE_PROTO_CASING = Rule(name="ExposeProtoCasing", description="Protocol in EXPOSE instruction should be lowercase")
EXPOSE_INVALID_FORMAT = Rule(
    name="ExposeInvalidFormat",
    description=(
        "IP address and host-port mapping should not be used in EXPOSE instruction. "
        "This will become an error in a future release"
    ),
)

APT_INSTALL_WITHOUT_UPDATE = Rule(
    name="AptInstallWithoutUpdate",
    description="A cached package list grows old: update and install belong in one RUN",
    optional=True,
    ours=True,
)
APT_LISTS_LEFT = Rule(
    name="AptListsLeft",
    description="Package lists that stay in the layer make the image larger and serve nobody",
    optional=True,
    ours=True,
)
SECRET_FILE_COPIED = Rule(
    name="SecretFileCopied",
    description="A file that usually holds a secret becomes readable for everybody who has the image",
    optional=True,
    ours=True,
)
UNPINNED_FROM = Rule(
    name="UnpinnedFrom",
    description="A base image without a digest can change between two builds",
    optional=True,
    ours=True,
)
DELETED_IN_LATER_LAYER = Rule(
    name="DeletedInLaterLayer",
    description="A file that an earlier layer added still takes its space after it is deleted",
    optional=True,
    ours=True,
)
COPY_BEFORE_INSTALL = Rule(
    name="CopyBeforeInstall",
    description="A small edit of the source runs the installation of all dependencies again",
    optional=True,
    ours=True,
)
IGNORED_FLAGS = Rule(
    name="IgnoredFlags",
    description="BuildKit reads no flags here and drops what looks like one",
    optional=True,
    ours=True,
)
UNKNOWN_CHECK = Rule(
    name="UnknownCheck",
    description="A check that nobody knows cannot be skipped or asked for",
    optional=True,
    ours=True,
)

ARG_OUTSIDE_STAGE = _note(
    "ArgOutsideStage", _STAGES, "An ARG before FROM has a value in FROM lines alone, until a stage declares it again"
)
ENTRYPOINT_DROPS_CMD = _note("EntrypointDropsCmd", _CONFIG, "A new ENTRYPOINT empties the CMD that was inherited")
SHELL_ENTRYPOINT_DROPS_CMD = _note(
    "ShellEntrypointDropsCmd", _CONFIG, "An ENTRYPOINT in shell form gets neither CMD nor the arguments of run"
)
SOURCES_ON_ONE_FILE = _note(
    "SourcesOnOneFile", _WHITEOUTS, "Several files that are copied to one name: the last one is what stays"
)
SECRET_REMOVED_LATER = _note(
    "SecretRemovedLater", _WHITEOUTS, "What a later step deletes is hidden, and can be read in the layer below"
)
COMMAND_IN_ENV = _note("CommandInEnv", _CONFIG, "ENV, ARG and LABEL keep text: no command in it is ever run")
TILDE_IN_PATH = _note("TildeInPath", _SIZE, "Only a shell knows ~; elsewhere it is a folder of that name")
VARIABLE_IN_JSON = _note("VariableInJson", _CONFIG, "The JSON form has no shell, so nothing expands its variables")
SINGLE_QUOTES_IN_JSON = _note(
    "SingleQuotesInJson", _CONFIG, "JSON knows double quotes alone; with others the text goes to a shell"
)
RUN_OF_CD_OR_EXPORT = _note("RunOfCdOrExport", _LAYERS, "Each RUN is a new process: only files stay")
RUN_IN_BACKGROUND = _note("RunInBackground", _LAYERS, "What a RUN starts ends with it; an image holds no processes")
PARENT_LANDS_ON_OTHER_FILE = _note(
    "ParentLandsOnOtherFile",
    _CACHE,
    "A source can't leave the build context: leading .. are dropped, and another file is taken",
)
STAGE_NOT_NEEDED = _note("StageNotNeeded", _STAGES, "Only the stages that the target needs are built")

RULES = {
    rule.name: rule
    for rule in (
        STAGE_NAME_CASING, FROM_AS_CASING, NO_EMPTY_CONTINUATION, CONSISTENT_INSTRUCTION_CASING, DUPLICATE_STAGE_NAME,
        RESERVED_STAGE_NAME, JSON_ARGS_RECOMMENDED, MAINTAINER_DEPRECATED, UNDEFINED_ARG_IN_FROM, WORKDIR_RELATIVE_PATH,
        UNDEFINED_VAR, MULTIPLE_INSTRUCTIONS_DISALLOWED, LEGACY_KEY_VALUE_FORMAT, INVALID_BASE_IMAGE_PLATFORM,
        REDUNDANT_TARGET_PLATFORM, SECRETS_USED_IN_ARG_OR_ENV, INVALID_DEFAULT_ARG_IN_FROM,
        FROM_PLATFORM_FLAG_CONST_DISALLOWED, COPY_IGNORED_FILE, INVALID_DEFINITION_DESCRIPTION, EXPOSE_PROTO_CASING,
        EXPOSE_INVALID_FORMAT, APT_INSTALL_WITHOUT_UPDATE, APT_LISTS_LEFT, SECRET_FILE_COPIED, UNPINNED_FROM,
        DELETED_IN_LATER_LAYER, COPY_BEFORE_INSTALL, IGNORED_FLAGS, UNKNOWN_CHECK,
        ARG_OUTSIDE_STAGE, ENTRYPOINT_DROPS_CMD, SHELL_ENTRYPOINT_DROPS_CMD, SOURCES_ON_ONE_FILE,
        SECRET_REMOVED_LATER, COMMAND_IN_ENV, TILDE_IN_PATH, VARIABLE_IN_JSON, SINGLE_QUOTES_IN_JSON,
        RUN_OF_CD_OR_EXPORT, RUN_IN_BACKGROUND, PARENT_LANDS_ON_OTHER_FILE, STAGE_NOT_NEEDED,
    )
}  # fmt: skip
"""By name, BuildKit's first."""
