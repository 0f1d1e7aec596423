"""Lists that a registry gives page by page: tags of a repository, repositories of a registry (distribution-spec v1.1).

    GET /v2/<repository>/tags/list            {"tags": [...]}             Link: </v2/…?last=x>; rel="next"
    GET /v2/_catalog                          {"repositories": [...]}     not in the specification, but widespread
    GET https://index.docker.io/v1/search     {"results": [{"name": …}]}  Docker Hub only

Only the Link says whether there is more: short pages are not the last ones everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from builder.errors import RegistryError
from builder.registry.access import Access
from builder.registry.connection import read_error_body, read_object
from builder.registry.endpoint import Endpoint
from builder.registry.failure import failure
from builder.registry.scope import CATALOG, Scopes, repository_scopes
from builder.web.answers import Response

_MAX_PAGE_BYTES = 4 << 20
_MAX_PAGES = 10_000
_MAX_NAMES = 1_000_000
_NEXT = re.compile(r'<([^<>]*)>\s*;[^<>]*?\brel\s*=\s*"?next\b', re.IGNORECASE)


def list_tags(access: Access, endpoint: Endpoint, what: str, limit: int | None) -> list[str]:
    """Return the tags of a repository: all, or pages until there are `limit`. Raises RegistryError."""
    scopes = repository_scopes(endpoint.repository, "pull")
    return _list(access, endpoint, endpoint.path("tags/list"), scopes, "tags", what, limit)


def list_repositories(access: Access, endpoint: Endpoint, limit: int | None) -> list[str]:
    """Return what the catalogue of a registry names: all, or pages until there are `limit`. Raises RegistryError."""
    what = f"the catalogue of {endpoint.registry}"
    return _list(access, endpoint, endpoint.url("/v2/_catalog"), CATALOG, "repositories", what, limit)


def search_index(access: Access, endpoint: Endpoint, term: str, limit: int) -> list[dict[str, Any]]:
    """Return what the search of Docker Hub's index answers: name, description, star_count, is_official of each."""
    url = endpoint.url(f"/v1/search?{urlencode({'q': term, 'n': limit})}")
    response = access.send("GET", url, endpoint, (), {"Accept": "application/json"})
    results = _document(response, f"the search for {term!r:.100}").get("results")
    if not isinstance(results, list):
        raise RegistryError(f"the search of {endpoint.registry} answers with no results")
    return [result for result in results if isinstance(result, dict)][:limit]


def walk_pages(
    access: Access, endpoint: Endpoint, url: str, scopes: Scopes, what: str, accept: str = "application/json"
) -> Iterator[tuple[dict[str, Any], Response]]:
    """Yield each page, as a JSON object and the answer that brought it. Raises RegistryError."""
    seen: set[str] = set()
    while url and url not in seen and len(seen) < _MAX_PAGES:
        seen.add(url)
        response = access.send("GET", url, endpoint, scopes, {"Accept": accept})
        yield _document(response, what), response
        url = _next_url(url, response, endpoint)


def _list(
    access: Access, endpoint: Endpoint, url: str, scopes: Scopes, member: str, what: str, limit: int | None
) -> list[str]:
    names: dict[str, None] = {}  # pages may overlap while somebody pushes
    for document, _ in walk_pages(access, endpoint, url, scopes, what):
        page = document.get(member, ())
        if not isinstance(page, list | tuple | None):
            raise RegistryError(f"{what}: the list of {member} is malformed")
        names.update(dict.fromkeys(name for name in page or () if isinstance(name, str) and name.isprintable()))
        if len(names) >= (_MAX_NAMES if limit is None else limit):
            break
    return list(names)


def _document(response: Response, what: str) -> dict[str, Any]:
    if response.status != 200:
        raise failure(what, response.status, read_error_body(response))
    return read_object(response, _MAX_PAGE_BYTES, what, f"{what}: the registry", "list")


def _next_url(url: str, response: Response, endpoint: Endpoint) -> str:
    """Return where the next page is, at the registry itself: behind proxies the host of a Link is often another."""
    for link in response.headers.getlist("Link"):
        if match := _NEXT.search(link):
            try:
                parts = urlsplit(urljoin(url, match[1]))
            except ValueError:
                return ""
            return endpoint.url(f"{parts.path}?{parts.query}" if parts.query else parts.path)
    return ""
