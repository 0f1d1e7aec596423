"""RUN --mount=type=cache: what the next step finds in it, how it begins, and what is kept out."""

from __future__ import annotations

import os
import threading

from builder.errors import StepFailed
from builder.plan.step import CacheMount, StepID, StepSource
from tests.sandbox.host import Host
from tests.solve.site import STAGE, Site, at_site, names


def cache(target: str = "/cache", **fields: object) -> CacheMount:
    return CacheMount(**{"identifier": target, "target": target, **fields})  # type: ignore[arg-type]


def test_a_cache_is_there_the_next_time_and_in_no_layer(any_host: Host) -> None:
    def work(site: Site) -> tuple[str, list[str]]:
        first = names(site.run("echo kept > /cache/file", mounts=(cache(),)))
        second = names(site.run("cat /elsewhere/file", mounts=(cache("/elsewhere", identifier="/cache"),)))
        return site.output, first + second

    assert at_site(any_host, work) == ("kept", [])


def test_caches_of_other_ids_and_namespaces_are_others(root_host: Host) -> None:
    def work(site: Site) -> str:
        site.run("touch /cache/one", mounts=(cache(),))
        site.run("ls /cache", mounts=(cache(identifier="other"),))
        assert site.output == ""
        site.sources.caches.namespace = "team"
        site.run("ls /cache", mounts=(cache(),))
        return site.output

    assert at_site(root_host, work) == ""


def test_a_new_cache_has_the_mode_and_owner_asked_for(root_host: Host) -> None:
    def work(site: Site) -> str:
        given = cache("/a", identifier="x", mode=0o1770, uid=1000, gid=1001)
        site.run("stat -c '%a %u:%g' /a /b", mounts=(given, cache("/b", identifier="x")))
        return site.output

    assert at_site(root_host, work) == "1770 1000:1001\n755 0:0"


def test_a_cache_is_seeded_once(host: Host) -> None:
    def work(site: Site) -> str:
        mount = cache(base=StepSource(StepID(0)), subpath="opt")
        site.run("ls /cache; echo more > /cache/new", mounts=(mount,))
        first = site.output
        site.run("ls /cache", mounts=(mount,))
        return first + "|" + site.output

    assert at_site(host, work, stages=[STAGE]) == "owned\ntool|new\nowned\ntool"


def test_a_seeded_cache_has_the_owners_of_its_seed(root_host: Host) -> None:
    def work(site: Site) -> str:
        site.run("stat -c '%u %a' /cache/owned /cache/tool", mounts=(cache(base=StepSource(StepID(0)), subpath="opt"),))
        return site.output

    assert at_site(root_host, work, stages=[STAGE]) == "33 644\n0 755"


def test_a_part_of_a_cache_is_made_when_it_is_missing(host: Host) -> None:
    def work(site: Site) -> str:
        site.run("echo x > /cache/file", mounts=(cache(identifier="c", subpath="deep/er"),))
        site.run("find /cache -type f", mounts=(cache(identifier="c"),))
        return site.output

    assert at_site(host, work) == "/cache/deep/er/file"


def test_attack_a_link_in_a_cache_leads_nowhere_outside(any_host: Host) -> None:
    """CVE-2024-23652's kind: a RUN leaves a link in a cache, the next one mounts what it points to."""

    def work(site: Site) -> str:
        canary = site.rig.root / "canary"
        canary.mkdir()
        (canary / "file").write_text("canary")
        site.run(f"ln -s {canary} /cache/link; ln -s ../../../../.. /cache/up", mounts=(cache(identifier="c"),))
        for subpath in ("link", "link/sub", f"up{canary}"):
            try:
                site.run("ls /cache; touch /cache/written", mounts=(cache(identifier="c", subpath=subpath),))
                assert "file" not in site.output
            except StepFailed:
                pass
        return ",".join(sorted(os.listdir(canary)))

    assert at_site(any_host, work) == "file"


def test_no_cache_empties_a_cache_once_in_a_build(root_host: Host) -> None:
    def work(site: Site) -> list[str]:
        site.run("touch /cache/old", mounts=(cache(),))
        site.sources.caches._emptied.clear()  # another build begins
        site.run("ls /cache; touch /cache/new", mounts=(cache(),), no_cache=True)
        first = site.output
        site.run("ls /cache", mounts=(cache(),), no_cache=True)
        return [first, site.output]

    assert at_site(root_host, work) == ["", "new"]


def test_a_read_only_cache_refuses_writes(host: Host) -> None:
    def work(site: Site) -> str:
        site.run("touch /cache/x 2>/dev/null || echo refused", mounts=(cache(readonly=True),))
        return site.output

    assert at_site(host, work) == "refused"


ALL_THREE = """touch /cache/{}
for tenth in $(seq 600); do [ -e /cache/0 -a -e /cache/1 -a -e /cache/2 ] && exit; sleep 0.1; done
exit 1"""
"""Each waits in the cache for the others: one after another, none would come to its end."""


def test_steps_that_run_at_once_share_a_cache(root_host: Host) -> None:
    def work(site: Site) -> str:
        from builder.solve.run.execute import RunTools, run_step

        tools = RunTools(snapshotter=site.snapshotter, sandbox=site.sandbox, sources=site.sources)

        def one(number: int) -> None:
            step = site.step(ALL_THREE.format(number), mounts=(cache(),))
            try:
                with run_step(step, site.layers, tools, site.lines.append, site.cancel):
                    pass
            except StepFailed as error:
                failed.append(f"{number}: {error}")

        failed: list[str] = []
        threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ",".join(failed)

    assert at_site(root_host, work) == ""
