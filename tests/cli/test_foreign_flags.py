"""The flags of docker, podman and buildah: each has its effect, a warning, or a refusal that says why."""

from __future__ import annotations

import subprocess
import sys

import pytest

from builder.cli.foreign_flags import BY_NAME, TABLE, ForeignFlag, take_foreign
from builder.errors import UsageError
from tests.cli.program import Program
from tests.flags import own_actions

# As the help of each lists them; docker's with those it hides.
DOCKER = """
    --add-host --allow --annotation --attest --build-arg --build-context --builder --cache-from --cache-to --call
    --cgroup-parent --check --debug -D --file -f --iidfile --label --load --metadata-file --network --no-cache
    --no-cache-filter --output -o --platform --progress --provenance --pull --push --quiet -q --sbom --secret --shm-size
    --ssh --tag -t --target --ulimit --policy --resource --print --invoke --detach --on --server-config
    --compress --isolation --security-opt --squash --memory -m --memory-swap --cpu-shares -c --cpu-period --cpu-quota
    --cpuset-cpus --cpuset-mems --rm --force-rm --disable-content-trust --stream
"""
PODMAN = """
    --add-host --all-platforms --annotation --arch --authfile --build-arg --build-arg-file --build-context --cache-from
    --cache-to --cache-ttl --cap-add --cap-drop --cert-dir --cgroup-parent --cgroupns --compat-volumes --compress
    --cpp-flag --cpu-period --cpu-quota --cpu-shares -c --cpuset-cpus --cpuset-mems --created-annotation --creds --cw
    --decryption-key --device --disable-compression -D --disable-content-trust --dns --dns-option --dns-search --env
    --file -f --force-rm --format --from --group-add --hooks-dir --http-proxy --identity-label --ignorefile --iidfile
    --inherit-annotations --inherit-labels --ipc --isolation --jobs --label --layer-label --layers --logfile --logsplit
    --manifest --memory -m --memory-swap --network --no-cache --no-hostname --no-hosts --omit-history --os --os-feature
    --os-version --output -o --pid --platform --pull --quiet -q --retry --retry-delay --rewrite-timestamp --rm
    --runtime-flag --sbom --sbom-image-output --sbom-image-purl-output --sbom-merge-strategy --sbom-output
    --sbom-purl-output --sbom-scanner-command --sbom-scanner-image --secret --security-opt --shm-size --sign-by
    --skip-unused-stages --source-date-epoch --squash --squash-all --ssh --stdin --tag -t --target --timestamp
    --tls-verify --ulimit --unsetannotation --unsetenv --unsetlabel --userns --userns-gid-map --userns-gid-map-group
    --userns-uid-map --userns-uid-map-user --uts --variant --volume -v
    --runtime --pull-always --pull-never --signature-policy --blob-cache --transient-mount --log-level
"""
OWN = {name: action for action in own_actions() for name in action.option_strings}
TEXT = "FROM scratch\nCOPY Dockerfile /\n"


def judged(*words: str) -> tuple[list[str], list[str]]:
    return take_foreign(list(words), lambda name: OWN[name].nargs != 0 if name in OWN else None)


@pytest.mark.parametrize("name", sorted({*DOCKER.split(), *PODMAN.split()}))
def test_a_flag_of_docker_podman_or_buildah_is_known(name: str) -> None:
    assert (name in OWN) != (name in BY_NAME)


def test_no_flag_is_twice_in_the_table() -> None:
    names = [name for flag in TABLE for name in flag.names]
    assert len(names) == len(set(names))
    assert all(flag.hint == "" or flag.hint.endswith(".") for flag in TABLE)


def _asking(flag: ForeignFlag) -> str:
    """Return a value that asks for something."""
    values = ("true", "false") if flag.is_switch else ("x",)
    return next(value for value in values if value not in flag.nothing)


@pytest.mark.parametrize("flag", [flag for flag in TABLE if flag.outcome != "ignored"], ids=lambda flag: flag.names[-1])
def test_a_flag_of_the_table_is_warned_of_or_refused_and_its_empty_values_are_not(flag: ForeignFlag) -> None:
    value = _asking(flag)
    for name in flag.names:
        forms = [[f"{name}={value}"]]
        forms += [] if flag.is_switch else [[name, value]]
        forms += [[f"{name}{value}"]] if len(name) == 2 else []
        for words in forms:
            if flag.outcome == "warned":
                rest, [warning] = judged("-t", "-v", *words, ".")
                assert warning.startswith(name)
                assert "does nothing" in warning
            else:
                with pytest.raises(UsageError) as caught:
                    judged(*words, ".")
                assert caught.value.message.startswith(name)
                assert caught.value.hint
                continue
            assert rest == ["-t", "-v", "."]
        for harmless in flag.nothing if flag.is_switch else ("", *flag.nothing):
            assert judged(f"{name}={harmless}", ".") == (["."], [])


@pytest.mark.parametrize("name", [name for flag in TABLE if flag.outcome == "ignored" for name in flag.names])
def test_a_flag_that_asks_for_what_is_so_anyway_passes(name: str) -> None:
    for words in ([name], [f"{name}=true"], [f"{name}=false"]):
        assert judged(*words, ".") == (["."], [])
    with pytest.raises(UsageError, match="takes true or false, not 'x'"):
        judged(f"{name}=x")


def test_values_of_own_flags_and_what_follows_two_dashes_are_left_alone() -> None:
    words = ["-t", "--push", "--build-arg=--volume=1", "-f", "-v", "-m", "--squash", "--", "--push"]
    assert judged(*words) == (words, [])
    with pytest.raises(UsageError, match="--retry: expected one argument"):
        judged("--retry")


@pytest.mark.parametrize(
    "words",
    [
        ["--push=false", "--load=false", "--cache-from=", "--cache-to=", "--isolation=default", "-D"],
        ["--disable-content-trust", "--rm", "--force-rm=false", "--compress", "--memory=0", "-m", "0"],
        ["--provenance=false", "--sbom=false", "--attest", "type=provenance,disabled=true", "--builder=default"],
        ["--layers", "--format=oci", "--tls-verify=true", "--pull=missing", "--os=linux", "--security-opt="],
        ["--output=", "--secret=", "--ssh=", "--progress=", "--call=", "--target=", "--iidfile=", "--isolation="],
        ["--no-cache-filter=", "--metadata-file=", "--file=", "--platform=linux/amd64", "--cgroup-parent="],
    ],
)
def test_what_asks_for_nothing_builds_without_a_word(pybuild: Program, words: list[str]) -> None:
    assert "warning" not in pybuild.build(TEXT, *words).succeeded().err


@pytest.mark.parametrize(
    "words",
    [["--retry", "2"], ["--retry=2"], ["--security-opt=no-new-privileges"], ["--squash"]],
)
def test_what_does_nothing_is_warned_of_and_built_each_time(pybuild: Program, words: list[str]) -> None:
    for _ in range(2):
        outcome = pybuild.build(TEXT, *words).succeeded()
        assert outcome.err.count("warning: FlagWithoutEffect: ") == 1
    meta = pybuild.folder.parent / "meta"
    pybuild.build(TEXT, *words, "--metadata-file", str(meta)).succeeded()
    assert "FlagWithoutEffect" in meta.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format=docker"], "images are OCI's"),
        (["--isolation=hyperv"], "invalid isolation 'hyperv'"),
        (["--pull=never"], "--pull takes true or false"),
        (["--cap-add=ALL"], "--cap-add is not supported"),
        (["--disable-content-trust=false"], "signatures are not checked"),
    ],
)
def test_what_would_not_be_done_is_refused(pybuild: Program, words: list[str], said: str) -> None:
    pybuild.build(TEXT, *words).failed(2, said)


def test_podman_s_words_have_their_effect(pybuild: Program) -> None:
    pybuild.build(TEXT, "--source-date-epoch=7", "-o", "../out").succeeded()
    assert (pybuild.folder.parent / "out" / "Dockerfile").stat().st_mtime == 7
    assert "ARG" in pybuild.build("ARG a\nFROM scratch\n", "--print=outline").succeeded().out.upper()


def test_debug_shows_the_traceback_of_an_internal_error(pybuild: Program) -> None:
    hidden = {"PYTHONSTARTUP": None, "PYBUILD_DEBUG": None}
    text = (
        "import builder.engine.build as engine\ndef broken(*_):\n    raise KeyError('broken')\nengine.build = broken\n"
    )
    text += "from builder.cli.main import main\nraise SystemExit(main())\n"
    script = pybuild.folder.parent / "broken.py"
    script.write_text(text)
    (pybuild.folder / "Dockerfile").write_text(TEXT)
    for flag, shown in (("-q", False), ("-D", True), ("--debug=true", True)):
        command = [sys.executable, str(script), flag, "."]
        environment = pybuild.environment(hidden)
        result = subprocess.run(
            command, cwd=pybuild.folder, capture_output=True, text=True, env=environment, check=False
        )
        assert ("Traceback" in result.stderr) is shown
        assert "KeyError" in result.stderr
