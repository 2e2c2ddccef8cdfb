"""A small Hub on 127.0.0.1 for the real huggingface_hub client, which can simulate every failure of a Hub.

with LoopbackHub().serve() as hub:
    commit = hub.add("user/repo", {"README.md": b"..."})
    ... HF_ENDPOINT=hub.endpoint ...

It implements the endpoints that huggingface_hub 2.4 uses to read and commit datasets and models.
Source: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.hub_repos import LARGE_BYTES, Repo, etag, git_oid, listing

PAGE = 50  # files per page of a tree; the real Hub's pages are longer
INVALID_TOKEN = "Invalid credentials in Authorization header"
Key = tuple[str, str]  # ("dataset" or "model", "user/repo")


class LoopbackHub:
    """The Hub's state, and the settings by which a test simulates failures."""

    def __init__(self) -> None:
        self.repos: dict[Key, Repo] = {}
        self.uploads: dict[str, bytes] = {}  # LFS files by SHA-256, before a commit names them
        self.requests: list[tuple[str, str]] = []  # (method, path with query), in order
        self.served: list[tuple[str, int]] = []  # (path in the repository, first byte) of each transfer
        self.token: str | None = None  # needed for writing; any token that is sent must be this one
        self.gated: set[str] = set()  # repositories that need a token for reading
        self.altered: dict[str, Callable[[bytes], bytes]] = {}  # by path: how served bytes are changed
        self.cuts: dict[str, int] = {}  # by path: the next transfer stops after this many bytes
        self.unavailable = 0  # number of next requests that are answered with 503
        self.unavailable_files: dict[str, int] = {}  # by path: number of next transfers answered with 503
        self.lost_answers = 0  # number of next commits that are made and then answered with 503
        self.rivals: list[tuple[str, Mapping[str, bytes]]] = []  # (repository, files), before the next commit
        self.lock = threading.RLock()
        self.endpoint = ""

    def add(self, repo_id: str, files: Mapping[str, bytes], repo_type: str = "dataset") -> str:
        """Commit files to a repository, created if it doesn't exist, keeping its others; return the hash."""
        with self.lock:
            repo = self.repos.setdefault((repo_type, repo_id), Repo())
            return repo.commit({**repo.commits[repo.main], **files}, "add")

    def files(self, repo_id: str, repo_type: str = "dataset") -> dict[str, bytes]:
        """Return the files of a repository's main branch."""
        repo = self.repos[repo_type, repo_id]
        return repo.commits[repo.main]

    @contextmanager
    def serve(self) -> Iterator[LoopbackHub]:
        """Serve at `self.endpoint` during the block."""
        handler = type("BoundHandler", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _ErrorAnswer(Exception):
    """An error answer: status, the Hub's error code, and its message."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message or code)
        self.status, self.code, self.message = status, code, message or code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise a body waits some 40 ms for the acknowledgement of its headers
    hub: LoopbackHub

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def answer(self) -> None:
        """Answer one request by the first matching route."""
        path = urlsplit(self.path).path
        self.sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with self.hub.lock:
                self.hub.requests.append((self.command, self.path))
                self._check_request(path)
            for method, pattern, route in _ROUTES:
                match = re.fullmatch(pattern, path)
                if match and self.command in method.split():
                    route(self, **{name: unquote(part or "") for name, part in match.groupdict().items()})
                    return
            raise _ErrorAnswer(404, "RepoNotFound")
        except _ErrorAnswer as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": error.message}
            shown = {name: value for name, value in headers.items() if value}
            self.reply({"error": error.message}, shown, error.status)

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def reply(self, content: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        """Send bytes, or anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def resolve(self, kind: str, repo_id: str, revision: str, path: str) -> None:
        """Answer GET or HEAD of a file, from some byte on."""
        repo, commit = self._repo(_type(kind), repo_id, revision)
        stored = repo.commits[commit].get(path)
        if stored is None:
            raise _ErrorAnswer(404, "EntryNotFound")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag(stored)}"', "Accept-Ranges": "bytes"}
        data = self.hub.altered.get(path, bytes)(stored)
        if self.command == "HEAD":
            self.reply(b"", {**headers, "Content-Length": str(len(data))})
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        begin = int(wanted[1]) if wanted else 0
        with self.hub.lock:
            self.hub.served.append((path, begin))
            if self.hub.unavailable_files.get(path):
                self.hub.unavailable_files[path] -= 1
                raise _ErrorAnswer(503, "", "come back later")
            cut = self.hub.cuts.pop(path, None)
        rest = data[begin:]
        if wanted:
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        if cut is None:
            self.reply(rest, headers, 206 if wanted else 200)
            return
        self.reply(rest[:cut], {**headers, "Content-Length": str(len(rest))}, 206 if wanted else 200)
        self.close_connection = True

    def info(self, kind: str, repo_id: str, revision: str = "main") -> None:
        """Answer with a repository's description and the commit of a revision."""
        repo, commit = self._repo(kind, repo_id, revision or "main")
        names = [{"rfilename": path} for path in sorted(repo.commits[commit])]
        fixed = {"_id": "0" * 24, "disabled": False, "gated": False, "downloads": 0, "likes": 0, "tags": []}
        self.reply({**fixed, "id": repo_id, "sha": commit, "private": repo.private, "siblings": names})

    def tree(self, kind: str, repo_id: str, revision: str) -> None:
        """Answer with a page of a revision's files, always recursive."""
        repo, commit = self._repo(kind, repo_id, revision)
        files = repo.commits[commit]
        query = parse_qs(urlsplit(self.path).query)
        begin = int(query.get("cursor", ["0"])[0])
        headers = {}
        if begin + PAGE < len(files):
            url = f"{self.hub.endpoint}{urlsplit(self.path).path}?recursive=true&cursor={begin + PAGE}"
            headers["Link"] = f'<{url}>; rel="next"'
        self.reply([listing(path, files[path]) for path in sorted(files)[begin : begin + PAGE]], headers)

    def paths_info(self, kind: str, repo_id: str, revision: str) -> None:
        """Answer with the named files of a revision."""
        repo, commit = self._repo(kind, repo_id, revision)
        wanted = parse_qs(self.sent.decode()).get("paths", [])
        self.reply(
            [listing(path, repo.commits[commit][path]) for path in wanted if path in repo.commits[commit]]
        )

    def refs(self, kind: str, repo_id: str) -> None:
        """Answer with branches and tags."""
        repo, _ = self._repo(kind, repo_id)
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.main}]
        tags = [{"name": k, "ref": f"refs/tags/{k}", "targetCommit": v} for k, v in repo.tags.items()]
        self.reply({"branches": branches, "converts": [], "tags": tags})

    def tag(self, kind: str, repo_id: str, revision: str) -> None:
        """Create a tag."""
        repo, commit = self._repo(kind, repo_id, revision)
        name = json.loads(self.sent)["tag"]
        if name in repo.tags:
            raise _ErrorAnswer(409, "", f"Tag {name} exists already")
        repo.tags[name] = commit
        self.reply({})

    def create(self) -> None:
        """Create a repository."""
        asked = json.loads(self.sent)
        key = (asked.get("type") or "model", f"{asked.get('organization') or 'somebody'}/{asked['name']}")
        url = f"{self.hub.endpoint}/{'datasets/' if key[0] == 'dataset' else ''}{key[1]}"
        if key in self.hub.repos:
            raise _ErrorAnswer(409, "", f"You already created this repo: {url}")
        private = asked.get("private", False) or asked.get("visibility") == "private"
        self.hub.repos[key] = Repo(private=private)
        self.reply({"url": url, "name": key[1], "id": "0" * 24})

    def preupload(self, kind: str, repo_id: str, revision: str) -> None:
        """Answer for each file whether it is sent within the commit or uploaded before it."""
        repo, commit = self._repo(kind, repo_id, revision)
        existing = {path: git_oid(data) for path, data in repo.commits[commit].items()}
        answers = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] >= LARGE_BYTES else "regular",
                "shouldIgnore": False,
                "oid": existing.get(file["path"]),
            }
            for file in json.loads(self.sent)["files"]
        ]
        self.reply({"files": answers})

    def batch(self, repo_id: str) -> None:
        """Answer with an upload URL for each LFS file that isn't here yet."""
        objects = []
        for wanted in json.loads(self.sent)["objects"]:
            upload = {"upload": {"href": f"{self.hub.endpoint}/upload/{wanted['oid']}"}}
            known = wanted["oid"] in self.hub.uploads
            objects.append(
                {"oid": wanted["oid"], "size": wanted["size"], **({} if known else {"actions": upload})}
            )
        self.reply({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        """Store an LFS file."""
        if hashlib.sha256(self.sent).hexdigest() != oid:
            raise _ErrorAnswer(400, "", "other bytes than announced")
        self.hub.uploads[oid] = self.sent
        self.reply(b"")

    def commit(self, kind: str, repo_id: str, revision: str) -> None:
        """Apply all operations to main, or none."""
        with self.hub.lock:
            for rival, files in self.hub.rivals:
                self.hub.add(rival, files, kind)
            self.hub.rivals.clear()
            repo, head = self._repo(kind, repo_id, revision)
            header, *operations = [json.loads(line) for line in self.sent.splitlines() if line]
            parent = header["value"].get("parentCommit")
            if parent and parent != head:
                raise _ErrorAnswer(412, "", "A commit has happened since. Please refresh and try again.")
            state = dict(repo.commits[head])
            for operation in operations:
                value = operation["value"]
                if operation["key"] == "file":
                    state[value["path"]] = base64.b64decode(value["content"])
                elif operation["key"] == "lfsFile":
                    state[value["path"]] = self.hub.uploads[value["oid"]]
                elif operation["key"] == "deletedFile":
                    del state[value["path"]]
                else:
                    raise _ErrorAnswer(400, "", f"unknown operation {operation['key']}")
            made = repo.commit(state, header["value"]["summary"])
            if self.hub.lost_answers:
                self.hub.lost_answers -= 1
                raise _ErrorAnswer(503, "", "come back later")
        url = f"{self.hub.endpoint}/{repo_id}/commit/{made}"
        self.reply({"success": True, "commitOid": made, "commitUrl": url, "hookOutput": ""})

    def validate(self) -> None:
        """Accept any card."""
        self.reply({"errors": [], "warnings": []})

    def _check_request(self, path: str) -> None:
        if self.hub.unavailable:
            self.hub.unavailable -= 1
            raise _ErrorAnswer(503, "", "come back later")
        if path.startswith("/upload/"):
            return
        given = self.headers.get("Authorization")
        if self.hub.token is not None and given not in (None, f"Bearer {self.hub.token}"):
            raise _ErrorAnswer(401, "", INVALID_TOKEN)
        reading = self.command in ("GET", "HEAD") or path.endswith(("/paths-info", "/validate-yaml"))
        if self.hub.token is not None and given is None and not reading:
            raise _ErrorAnswer(401, "", "Invalid username or password.")

    def _repo(self, kind: str, repo_id: str, revision: str = "main") -> tuple[Repo, str]:
        repo = self.hub.repos.get((kind, repo_id))
        signed_in = self.headers.get("Authorization") is not None
        if repo is None or (repo.private and not signed_in):
            raise _ErrorAnswer(404, "RepoNotFound")
        if repo_id in self.hub.gated and not signed_in:
            raise _ErrorAnswer(403, "GatedRepo")
        commit = repo.find(revision)
        if commit is None:
            raise _ErrorAnswer(404, "RevisionNotFound")
        return repo, commit


def _type(prefix: str) -> str:
    return "dataset" if prefix else "model"


_REPO = r"/api/(?P<kind>dataset|model)s/(?P<repo_id>[^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("GET", _REPO, _Handler.info),
    ("GET", _REPO + r"/revision/(?P<revision>[^/]+)", _Handler.info),
    ("GET", _REPO + r"/tree/(?P<revision>[^/]+)", _Handler.tree),
    ("GET", _REPO + r"/refs", _Handler.refs),
    ("POST", _REPO + r"/paths-info/(?P<revision>[^/]+)", _Handler.paths_info),
    ("POST", _REPO + r"/tag/(?P<revision>[^/]+)", _Handler.tag),
    ("POST", _REPO + r"/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    ("POST", _REPO + r"/commit/(?P<revision>[^/]+)", _Handler.commit),
    ("PUT", r"/upload/(?P<oid>[0-9a-f]{64})", _Handler.upload),
    ("POST", r"/(datasets/)?(?P<repo_id>[^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (
        "GET HEAD",
        r"/(?P<kind>datasets/)?(?P<repo_id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        _Handler.resolve,
    ),
]
