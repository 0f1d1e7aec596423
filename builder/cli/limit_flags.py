"""The flags that limit memory and processors of RUN, of a build and of `pybuild run`. What they say is limits.py's."""

from __future__ import annotations

import argparse

_FLAGS = (
    (("-m", "--memory"), "BYTES", "the memory that the processes of one RUN may use together"),
    (("--memory-swap",), "BYTES", "memory and swap together; -1 is unlimited (default: twice the memory)"),
    (("-c", "--cpu-shares"), "N", "weight of one RUN beside others, who have 1024"),
    (("--cpu-period",), "MICROSECONDS", "how long a period of --cpu-quota is (default: 100000)"),
    (("--cpu-quota",), "MICROSECONDS", "processor time that one RUN may use in each period"),
    (("--cpuset-cpus",), "LIST", "the processors for RUN, for example 0-2,4"),
    (("--cpuset-mems",), "LIST", "the memory nodes for RUN, for example 0,1"),
    (("--cgroup-parent",), "GROUP", "the control group that those of RUN are made in"),
)
LIMITS = tuple(names[-1].removeprefix("--").replace("-", "_") for names, _, _ in _FLAGS)
"""The names of their values among parsed arguments."""


def add_limits(parser: argparse._ActionsContainer) -> None:
    """Let a parser know the flags."""
    for names, metavar, help_ in _FLAGS:
        parser.add_argument(*names, default="", metavar=metavar, help=help_)
