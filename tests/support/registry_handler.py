"""How the scripted registry answers: one request → what the protocol says, or the fault that a test has put there.

Uploads: each Location has a state in its query that counts up, and only the latest one is known (as docker-registry's).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.support.registry_access import Access
from tests.support.registry_images import OCI_INDEX, sha256

if TYPE_CHECKING:
    from tests.support.registry import Fault

_PATH = re.compile(r"/v2/(?P<repository>.+?)/(?P<kind>manifests|blobs/uploads|blobs|tags|referrers)/(?P<name>[^/]*)")


class Handler(Access):
    """Made for each connection."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        self.registry.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match = _PATH.fullmatch(parts.path)
        self.repository, self.kind, self.name = match.groups() if match else ("", "", parts.path.rpartition("/")[2])
        fault = self._fault()
        length = int(self.headers.get("Content-Length") or 0)
        if fault is not None and fault.early:  # answered before the body is read
            self.close_connection = True
        elif fault is not None and fault.cut_request is not None:
            self._break_off(self.rfile.read(min(length, fault.cut_request)))
            return
        else:
            self.body = self.rfile.read(length)
        if fault is not None and fault.status and fault.cut_after is None:
            self._answer(fault.status, fault.body or b"", fault.headers)
        elif parts.path.startswith("/token"):
            self._token()
        elif not self._is_authorised():
            self._challenge()
        elif fault is not None and fault.lost:  # it is done, and nobody hears of it
            self.wfile = _Nowhere()  # type: ignore[assignment]  # it is only written to
            self._content(fault)
            self._hang_up()
        else:
            self._content(fault)

    def _fault(self) -> Fault | None:
        for fault in self.registry.faults:
            if fault.times and fault.path in self.path and fault.method in ("", self.command):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def _break_off(self, received: bytes) -> None:
        upload = self.registry.uploads.get(self.name)
        if upload is not None and self.command == "PUT":
            del self.registry.uploads[self.name]  # docker-registry 2.8 forgets such an upload
        elif upload is not None and self.registry.keeps_parts:
            upload += received
        self._hang_up()

    def _content(self, fault: Fault | None) -> None:
        if self.name in self.registry.uploads or self.kind == "blobs/uploads":
            self._upload()
        elif self.path == "/v2/":
            self._answer(200, b"{}", {"Content-Type": "application/json"})
        elif self.path.startswith("/v2/_catalog"):
            names = sorted({repository for repository, _ in self.registry.manifests})
            self._page("repositories", names, {})
        elif self.path.startswith("/v1/search"):
            self._answer(200, json.dumps({"results": self.registry.search_results}).encode(), {})
        elif self.kind == "tags":
            tags = sorted(tag for where, tag in self.registry.manifests if where == self.repository and ":" not in tag)
            self._page("tags", tags, {"name": self.repository})
        elif self.kind == "referrers":
            self._referrers()
        elif self.command == "DELETE":
            self._delete()
        elif self.kind == "manifests" and self.command == "PUT":
            self._put_manifest()
        elif self.kind == "manifests" and (self.repository, self.name) in self.registry.manifests:
            data, media_type = self.registry.manifests[self.repository, self.name]
            self._send(data, {"Content-Type": media_type, "Docker-Content-Digest": sha256(data)}, fault)
        elif self.kind == "blobs" and self._has(self.repository, self.name):
            self._send(self.registry.blobs[self.name], {"Content-Type": "application/octet-stream"}, fault)
        else:
            self._refuse(404, "MANIFEST_UNKNOWN" if self.kind == "manifests" else "BLOB_UNKNOWN")

    def _has(self, repository: str, digest: str) -> bool:
        owned = self.registry.owned
        return digest in self.registry.blobs and (owned is None or (repository, digest) in owned)

    def _keep(self, data: bytes) -> None:
        self.registry.blobs[sha256(data)] = data
        if self.registry.owned is not None:
            self.registry.owned.add((self.repository, sha256(data)))

    # --- uploads

    def _upload(self) -> None:
        uploads = self.registry.uploads
        if self.command == "POST":
            source, digest = self.query.get("from", ""), self.query.get("mount", "")
            if self.registry.mounts and self._has(source, digest) and self._may(source, "pull"):
                self._keep(self.registry.blobs[digest])
                self._answer(201, b"", {"Location": f"/v2/{self.repository}/blobs/{digest}"})
                return
            self.name = f"upload-{len(uploads)}-{len(self.registry.requests)}"
            uploads[self.name] = bytearray()
            self._where(202)
        elif self.name not in uploads or not self._is_latest():
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "GET":
            self._where(204)
        elif self.command == "DELETE":
            del uploads[self.name]
            self._answer(204, b"", {})
        elif self.command == "PATCH":
            start = int(self.headers["Content-Range"].partition("-")[0])
            if start != len(uploads[self.name]):
                self._refuse(416, "BLOB_UPLOAD_INVALID")
            elif self.registry.least_chunk and len(self.body) < self.registry.least_chunk and not self.registry.is_last(
                start + len(self.body)
            ):  # fmt: skip
                self._refuse(400, "SIZE_INVALID")
            else:
                uploads[self.name] += self.body
                self._where(202)
        else:
            data = bytes(uploads.pop(self.name) + self.body)
            if self.query.get("digest") != sha256(data):
                self._refuse(400, "DIGEST_INVALID")
                return
            self._keep(data)
            stated = self.registry.stated_digest or sha256(data)
            self._answer(201, b"", {"Location": "/elsewhere", "Docker-Content-Digest": stated})

    def _is_latest(self) -> bool:
        """Say whether the latest Location is asked; what has arrived may be asked at any, since answers get lost."""
        return self.command in ("GET", "DELETE") or self.query.get("_state") == str(self.registry.states[self.name])

    def _where(self, status: int) -> None:
        registry = self.registry
        state = registry.states[self.name] = registry.states.get(self.name, 0) + 1
        location = f"/v2/{self.repository}/blobs/uploads/{self.name}?_state={state}"
        # docker-registry calls nothing 0-0
        last = max(0, len(registry.uploads[self.name]) - 1)
        headers = {"Location": registry.upload_server + location, "Range": f"0-{last}"}
        if registry.least_chunk:
            headers["OCI-Chunk-Min-Length"] = str(registry.least_chunk)
        self._answer(status, b"", headers)

    # --- manifests

    def _put_manifest(self) -> None:
        registry = self.registry
        document = json.loads(self.body)
        digest = sha256(self.body)
        if len(self.body) > registry.largest_manifest:
            self._answer(413, b"<html>too large</html>", {"Content-Type": "text/html"})
            return
        needed = [document["config"], *document["layers"]] if "layers" in document else []
        known = all(self._has(self.repository, each["digest"]) for each in needed)
        children = document.get("manifests", []) if "-" not in self.name else []
        known = known and all((self.repository, each["digest"]) in registry.manifests for each in children)
        if not known:
            self._refuse(400, "MANIFEST_BLOB_UNKNOWN")
        elif ":" in self.name and self.name != digest:
            self._refuse(400, "DIGEST_INVALID")
        else:
            for name in (self.name, digest):
                registry.manifests[self.repository, name] = (self.body, self.headers["Content-Type"])
            headers = {"Docker-Content-Digest": registry.stated_digest or digest}
            if "subject" in document and registry.knows_referrers:
                headers["OCI-Subject"] = document["subject"]["digest"]
            self._answer(201, b"", headers)

    def _referrers(self) -> None:
        if not self.registry.knows_referrers:
            self._answer(404, b"404 page not found\n", {})
            return
        found = []
        for (repository, name), (data, media_type) in sorted(self.registry.manifests.items()):
            document = json.loads(data)
            if repository == self.repository and document.get("subject", {}).get("digest") == self.name and ":" in name:
                entry = {"mediaType": media_type, "digest": name, "size": len(data)}
                found.append(entry | {"artifactType": document.get("artifactType", "")})
        headers = {"Content-Type": OCI_INDEX}
        if self.registry.filters and "artifactType" in self.query:
            found = [entry for entry in found if entry["artifactType"] == self.query["artifactType"]]
            headers["OCI-Filters-Applied"] = "artifactType"
        self._page("manifests", found, {"schemaVersion": 2, "mediaType": OCI_INDEX}, headers)

    def _delete(self) -> None:
        registry = self.registry
        if not registry.deletes:
            self._refuse(405, "UNSUPPORTED")
        elif self.kind == "manifests" and registry.manifests.pop((self.repository, self.name), None) is not None:
            for key in [key for key, (data, _) in registry.manifests.items() if sha256(data) == self.name]:
                del registry.manifests[key]  # a digest takes its tags with it
            self._answer(202, b"", {})
        elif self.kind == "blobs" and registry.blobs.pop(self.name, None) is not None:
            self._answer(202, b"", {})
        else:
            self._refuse(404, "MANIFEST_UNKNOWN" if self.kind == "manifests" else "BLOB_UNKNOWN")

    # --- answers

    def _page(
        self, member: str, items: Iterable[Any], document: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        items, size, start = list(items), self.registry.page_size, int(self.query.get("start", 0))
        headers = {"Content-Type": "application/json", **(headers or {})}
        if size and start + size < len(items):
            path, server = self.path.partition("?")[0], self.registry.link_server
            rest = "".join(f"&{name}={value}" for name, value in self.query.items() if name != "start")
            headers["Link"] = f'<{server}{path}?start={start + size}{rest}>; rel="next"'
        page = items[start : start + size] if size else items
        self._answer(200, json.dumps({**document, member: page}).encode(), headers)

    def _refuse(self, status: int, code: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": "unknown"}]}).encode()
        self._answer(status, body, {"Content-Type": "application/json"})

    def _send(self, data: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        status = 200
        headers = {**headers, **self.registry.extra_headers, **(fault.headers if fault else {})}
        if fault is not None and fault.body is not None:
            data = fault.body
        wanted = self.headers.get("Range", "")
        if wanted and not (fault and fault.ignore_range):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status = 206
            headers.setdefault("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            data = data[start:]
        self._answer(status, data, headers, fault.cut_after if fault else None)


class _Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None:
        return
