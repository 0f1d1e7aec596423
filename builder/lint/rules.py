"""The rules: BuildKit's 22 by their names, and the ones we add.

A rule of BuildKit has its description and its page word for word, because people look for them. Ours are quieter: an
`optional` rule runs only when `# check=experimental=` (or the caller) asks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PAGES = "https://docs.docker.com/go/dockerfile/rule/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    description: str
    optional: bool = False
    """Off until it is named; BuildKit calls such rules experimental."""
    ours: bool = False

    @property
    def url(self) -> str:
        """Return BuildKit's page about the rule, or "" for a rule of ours."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        return "" if self.ours else f"{_PAGES}{words.lower()}/"


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
    )
}  # fmt: skip
"""By name, BuildKit's first."""
