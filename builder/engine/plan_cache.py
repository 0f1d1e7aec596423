"""Plans kept in the store, under the digest of all that they were made from: what has not changed is parsed once.

What else a plan rests on, the digests of the images it names and the time of the build, is for the asker to compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder import __version__
from builder.context.tree import ignore_rules
from builder.engine.alias_files import alias_files
from builder.errors import PlanError
from builder.oci import canonical
from builder.oci.digest import Digest, digest_of
from builder.oci.platform import Platform
from builder.plan.plan import Plan
from builder.plan.serialise import plan_from_json, plan_to_json
from builder.store import formats

if TYPE_CHECKING:
    from builder.context.load import BuildContext
    from builder.engine.request import BuildRequest
    from builder.store.documents import Documents


class PlanCache:
    """The kept plans of one build; `kept` is where the store has them."""

    def __init__(self, kept: Documents, request: BuildRequest, context: BuildContext) -> None:
        self._kept = kept
        self._request = request
        self._context = context

    def find(self, platform: Platform) -> Plan | None:
        """Return the plan that was made last from the same Dockerfile and options, for one platform."""
        stored = self._kept.find(self._key(platform))
        try:
            return None if stored is None else plan_from_json(stored)
        except PlanError:
            return None  # of another version, or damaged: it is made anew

    def put(self, platform: Platform, plan: Plan) -> None:
        """Keep a plan, but none that holds credentials."""
        # Passwords are kept nowhere (docs/decisions/0016): such a file is planned anew each time.
        if not plan.holds_credentials:
            self._kept.put(self._key(platform), plan_to_json(plan))

    def _key(self, platform: Platform) -> Digest:
        # Of the context only the ignore rules reach a plan, by way of the warnings of the checks, which are in it.
        document = {
            "format": formats.PLAN,
            "version": __version__,
            "dockerfile": str(digest_of(self._context.dockerfile)),
            "name": self._context.dockerfile_name,
            "platform": str(platform),
            "request": self._request.plan_inputs(),
            "ignore": list(ignore_rules(self._context.tree(""))),
            "aliases": alias_files(),
        }
        return digest_of(canonical.encode(document))
