"""Isolation "native": namespaces of our own, nothing else needed on the machine (container.py does the work)."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import NoReturn

from builder.linux.cancel import Cancel
from builder.linux.device_filter import attach_device_filter
from builder.sandbox.limits import LimitGroups, limited
from builder.sandbox.mounts.standard_mounts import Conditions
from builder.sandbox.namespace import BuildNamespace, HostRoot, SingleIdRoot
from builder.sandbox.native.container import become_container
from builder.sandbox.network.build_network import BuildNetwork
from builder.sandbox.network.keeper import or_keeper
from builder.sandbox.network.source import NetworkSource
from builder.sandbox.process.attached import Screen, are_terminal, run_attached_request
from builder.sandbox.process.cgroups import new_device_guard
from builder.sandbox.process.channel import Channel
from builder.sandbox.process.fork_server import ForkServer, Request
from builder.sandbox.process.privileges import prepare
from builder.sandbox.process.run_request import run_request
from builder.sandbox.spec import ExitStatus, Manner, OnOutput, SandboxSpec
from builder.sandbox.spec_json import from_json, to_json


class NativeSandbox:
    """Must be made while the process has one thread, after `enter_build_namespace`."""

    name = "native"

    def __init__(self, namespace: BuildNamespace, network: NetworkSource) -> None:
        # Only root of the machine may attach a filter for devices (man 2 bpf); others can open those of /dev alone.
        self._guard = new_device_guard() if isinstance(namespace, HostRoot) else None
        conditions = Conditions(
            user_namespace=namespace.user_namespace,
            single_id=isinstance(namespace, SingleIdRoot),
            device_guard=self._guard.path if self._guard is not None else "",
        )
        child = or_keeper(lambda payload, channel: _child(payload, channel, conditions))
        try:
            prepare()
            self._fork_server = ForkServer(child, namespaces=True)
        except BaseException:
            self._remove_guard()
            raise
        self.network = BuildNetwork(self._fork_server, network)

    def run(self, spec: SandboxSpec, *, on_output: OnOutput, cancel: Cancel) -> ExitStatus:
        """Run to the end; see Sandbox."""
        with limited(spec.options) as limits:
            request = self._request(*self.network.connect(spec, cancel), Manner(), limits)
            return limits.judged(run_request(self._fork_server, request, on_output=on_output, cancel=cancel))

    def run_attached(
        self,
        spec: SandboxSpec,
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        init: bool = False,
        screen: Screen | None = None,
    ) -> ExitStatus:
        """Run on the caller's descriptors; see Sandbox."""
        streams = (stdin, stdout, stderr)
        manner = Manner(terminal=are_terminal(streams), init=init)
        with limited(spec.options) as limits:
            request = self._request(*self.network.connect(spec, Cancel()), manner, limits)
            return limits.judged(run_attached_request(self._fork_server, request, streams, uid=spec.uid, screen=screen))

    def close(self) -> None:
        """Kill and reap everything."""
        self.network.close()
        self._fork_server.close()
        self._remove_guard()

    def _request(self, spec: SandboxSpec, network: int | None, manner: Manner, limits: LimitGroups) -> Request:
        paths, unified = limits.paths, limits.unified.path if limits.unified is not None else ""
        if self._guard is not None and not spec.insecure:
            if limits.unified is not None:  # a process is in one group of version 2 alone: so this guards, too
                attach_device_filter(limits.unified.lock)
            else:
                paths, unified = (self._guard.path, *paths), self._guard.path
        header = {"manner": asdict(manner), "groups": paths}
        return Request(
            namespaces=True,
            own_network=spec.network == "none",
            payload=json.dumps(header).encode() + b"\n" + to_json(spec),
            network=network,
            group=unified,
        )

    def _remove_guard(self) -> None:
        if self._guard is not None:
            self._guard.close()
            self._guard = None


def _child(payload: bytes, channel: int, conditions: Conditions) -> NoReturn:
    line, _, spec = payload.partition(b"\n")
    header = json.loads(line)
    become_container(from_json(spec), Channel(channel), conditions, Manner(**header["manner"]), header["groups"])
