"""Whatever stands in a flag: a build, or one of our errors. Through the program's own door, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.cli.main import main

NUMBERS = (
    "9" * 400,
    "9" * 5000,
    "-" + "9" * 400,
    "1." + "9" * 400 + "t",
    "1e999",
    "nan",
    "0x10",
    "²",
    "１",
    "-1",
    "1" * 4301,
)
TEXTS = (
    "", "=", ":", ",", "@", "/", '"', 'x="', "=x", "x=", "a\nb", "\x1b[31m", "\0", "a\0b", "\ud800", "\udcff",
    "x=\udcff", "x" * 100_000, "~", "./-",
)  # fmt: skip
ADDRESSES = (
    "https://[::1", "http://", "http://h:port/", "x=https://[::1", "x=http://h:99999/", "git@h:\n", "github.com/a#%00",
    "x=github.com/a#%00", "x=git@\udcff:r", "docker-image://", "x=docker-image://", "x=oci-layout://", "[::1]:x/y",
    "h:[::1", "h=::1]", "localhost:99999/x", "x@sha256:zz", "http://\udcff/", "http://u:p@[/",
)  # fmt: skip
FIELDS = (
    "id=", 'id="', "id=x,src=", "id=x,src=\udcff", "id=x,env=\udcff", "id=x,type=y", "type=oci", "type=oci,dest=",
    "type=tar,dest=/nowhere/x", "type=local,dest=\udcff", "type=oci,dest=x,compression-level=²", "nofile=²",
    f"nofile={'9' * 400}", f"nofile=1:{'9' * 400}", f"nofile=-{'9' * 5000}", "nofile=9223372036854775808",
    "nofile=1:-2",
    "linux/", f"linux/{'a' * 9999}", f"linux/arm/v{'9' * 400}", "x=y=z", "default=/nowhere", f"h:{'9' * 400}",
)  # fmt: skip
VALUES = (*NUMBERS, *TEXTS, *ADDRESSES, *FIELDS)
FLAGS = (
    "--tag", "--file", "--target", "--build-arg", "--build-context", "--label", "--platform", "--timestamp", "--call",
    "--format", "--no-cache-filter", "--jobs", "--network", "--secret", "--ssh", "--add-host", "--shm-size", "--ulimit",
    "--allow", "--isolation", "--output", "--iidfile", "--metadata-file", "--progress", "--cache-from", "--cache-to",
    "--push", "--attest", "--annotation", "--builder", "--sbom", "--provenance", "--memory", "--memory-swap",
    "--cpu-shares", "--cpu-period", "--cpu-quota", "--cpuset-cpus", "--cpuset-mems", "--cgroup-parent",
    "--security-opt", "--root", "",
)  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS)
def test_any_value_of_a_flag_is_taken_or_refused(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The empty flag stands for the context itself."""
    context, work = tmp_path / "context", tmp_path / "work"
    for folder in (context, work):
        folder.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    monkeypatch.chdir(work)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    for value in VALUES:
        words = [f"{flag}={value}", str(context)] if flag else [value]
        code = main(["build", *words])
        said = capsys.readouterr().err
        assert code in (0, 1, 2), (value[:80], code)
        for sign in ("internal error", "Traceback", "[Errno", "codec can't", "Python int"):
            assert sign not in said, (ascii(value[:80]), said[:2000])


@pytest.mark.parametrize(
    "line",
    [
        'COPY ["a\\u0000b", "/"]', 'COPY ["Dockerfile\\u0000x", "/"]', "COPY a\0b /", 'ADD ["\\u0000", "/"]',
        'COPY ["\\ud800", "/"]', f"COPY {'9' * 5000} /", f"COPY --chown={'9' * 400} Dockerfile /",
        f"COPY --chown=1:{'9' * 5000} Dockerfile /", f"COPY --chmod={'7' * 400} Dockerfile /",
        f"COPY --from={'9' * 5000} a /", f"EXPOSE {'9' * 5000}", f"HEALTHCHECK --retries={'9' * 5000} CMD x",
        f"HEALTHCHECK --interval={'9' * 400}s CMD x", f"FROM {'9' * 5000}", f"ARG SOURCE_DATE_EPOCH={'9' * 5000}",
        f"ADD http://127.0.0.1:{'9' * 400}/ /", "ADD http://127.0.0.1:9/\0 /", "ADD git@h:a\0 /",
        "ADD https://h.invalid/r.git#%00 /", f"ADD --checksum=sha256:{'9' * 5000} http://127.0.0.1:9/ /",
    ],
)  # fmt: skip
def test_any_value_in_a_dockerfile_is_taken_or_refused(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(f"FROM scratch\n{line}\nCMD x\n")
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    assert main(["build", str(tmp_path / "context")]) in (0, 1)
    said = capsys.readouterr().err
    for sign in ("internal error", "Traceback", "[Errno", "codec can't", "embedded null", "Python int"):
        assert sign not in said, said[:2000]
