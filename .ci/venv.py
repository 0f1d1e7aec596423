"""Make a virtual environment, also where Debian's python3-venv (ensurepip) is missing: `python3 .ci/venv.py .venv`.

Without ensurepip, pip's own wheel is fetched from the package index (PIP_INDEX_URL or https://pypi.org/simple), checked
against the digest that the index gives, and used to install itself. Standard library only.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

_LINK = re.compile(r'<a[^>]*href="([^"]+/pip-(\d+(?:\.\d+)+)-py3-none-any\.whl)#sha256=([0-9a-f]{64})"([^>]*)>')


def main() -> int:
    target = Path(sys.argv[1])
    python = target / "bin" / "python"
    if python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return 0
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode == 0:
        return subprocess.run([sys.executable, "-m", "venv", "--clear", target]).returncode
    print("python3-venv is not installed: fetching pip from the package index", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", target], check=True)
    with tempfile.TemporaryDirectory() as directory:
        try:
            wheel = fetch_pip(Path(directory))
        except OSError as error:
            print(f"pip could not be fetched: {error}\nInstall python3-venv, or mend the network.", file=sys.stderr)
            return 1
        return subprocess.run([python, f"{wheel}/pip", "install", "--quiet", "--no-index", wheel]).returncode


def fetch_pip(directory: Path) -> Path:
    """Download the newest pip wheel that the index offers, verified; return its path."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    with urllib.request.urlopen(index) as answer:
        page = answer.read().decode()
    offers = [match for match in _LINK.finditer(page) if "data-yanked" not in match[4]]
    newest = max(offers, key=lambda match: tuple(int(part) for part in match[2].split(".")))
    url = urllib.parse.urljoin(index, html.unescape(newest[1]))
    with urllib.request.urlopen(url) as answer:
        data = answer.read()
    if hashlib.sha256(data).hexdigest() != newest[3]:
        raise SystemExit(f"{url} does not have the digest that the index gives")
    path = directory / urllib.parse.urlparse(url).path.rpartition("/")[2]
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
