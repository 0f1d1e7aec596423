"""Certificates for one registry: the folders that docker and podman read → how TLS is spoken (containers-certs.d(5)).

    ~/.config/containers/certs.d/HOST[:PORT]/*.crt            authorities, beside those of the system
    /etc/containers/certs.d/…                NAME.cert        ours, for the server
    /etc/docker/certs.d/…                    NAME.key         its key

The first of the folders that is there counts, the others do not.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator, Mapping

from urllib3.util.ssl_ import create_urllib3_context

from builder.errors import RegistryError

_SYSTEM = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def find_certificates(hosts: Iterable[str], environ: Mapping[str, str]) -> str:
    """Return the folder for the first of `hosts`, which may carry ports, that has one, or an empty text."""
    for host in hosts:
        if "/" not in host and host not in ("", ".", ".."):
            for parent in _parents(environ):
                if os.path.isdir(f"{parent}/{host}"):
                    return f"{parent}/{host}"
    return ""


def tls_context(directory: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and those in `directory`. Raises RegistryError."""
    context = create_urllib3_context()
    context.load_default_certs()
    # Homemade authorities often lack what RFC 5280 asks for, which Python checks since 3.13; docker does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
    path = directory
    try:
        for name in sorted(os.listdir(directory)):
            path = f"{directory}/{name}"
            if name.endswith(".crt"):
                context.load_verify_locations(cafile=path)
            elif name.endswith(".cert"):
                key = f"{path[: -len('.cert')]}.key"
                if not os.path.exists(key):
                    raise RegistryError(f"the certificate {path} has no key beside it", hint=f"It has to be {key}.")
                context.load_cert_chain(path, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise RegistryError(
            f"the certificate {path} cannot be used: it is not in PEM, or its key is not its own",
            hint="Keys that need a password are not supported.",
        ) from error
    except OSError as error:
        raise RegistryError(f"the certificate {path} cannot be read: {error.strerror}") from error
    return context


def _no_password() -> str:
    # Without this OpenSSL asks on the terminal.
    raise ValueError("the key needs a password")


def _parents(environ: Mapping[str, str]) -> Iterator[str]:
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    if home:
        yield f"{home}/containers/certs.d"
    yield from _SYSTEM
