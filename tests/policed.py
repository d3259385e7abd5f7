"""A reverse proxy on 127.0.0.1 that lets through to an S3 server exactly what an IAM policy allows, and notes what was asked.

It names the permission of every request by method, query and headers, as Amazon's reference does
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html). What it cannot name is refused
and noted as well. Like S3 it answers 403 instead of 404 to an identity that may not list the bare bucket.
"""

from __future__ import annotations

import contextlib
import fnmatch
import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PAGE = Path(__file__).parent.parent / "docs" / "permissions.md"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})


def documented(name: str, bucket: str, prefix: str) -> list[dict[str, Any]]:
    """The statements of a policy in docs/permissions.md, by the word after ```json, for this bucket and prefix."""
    found = re.search(rf"```json {name}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None, f"no policy {name} in {PAGE.name}"
    text = found[1].replace("acme-artifacts", bucket).replace("api/", f"{prefix}/")
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


@dataclass(frozen=True, slots=True)
class Need:
    """One permission that a request needs."""

    action: str
    resource: str
    prefix: str | None = None
    """Of a listing: what it is limited to; None: nothing."""


@dataclass(slots=True)
class Policed:
    """A running proxy."""

    url: str
    statements: list[dict[str, Any]]
    used: set[str] = field(default_factory=set)
    """Actions that were let through."""
    refused: list[str] = field(default_factory=list)
    """What the policy does not allow, with the request."""
    methods: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)
    parts: int = 0
    """Parts of uploads let through."""
    parts_open: Event = field(default_factory=Event)
    """While it is not set, parts after the first `parts_free` wait here."""
    parts_free: int = 0

    def allows(self, need: Need) -> bool:
        """Some statement allows it."""
        return any(_allows(statement, need) for statement in self.statements)

    def may_pass(self) -> bool:
        """A part waits for its turn. False: it never came."""
        with self.lock:
            first = self.parts < self.parts_free
            self.parts += 1
        return first or self.parts_open.wait(60)

    def judge(self, method: str, target: str, headers: Mapping[str, str]) -> bool:
        """Let a request through? Noted either way."""
        needs = needs_of(method, target, headers)
        with self.lock:
            self.methods.add(method)
            missing = [need for need in needs if not self.allows(need)]
            if missing or not needs:
                self.refused.append(f"{method} {target}: {missing or 'nobody knows what this is'}")
                return False
            self.used |= {need.action for need in needs}
            return True


def needs_of(method: str, target: str, headers: Mapping[str, str]) -> list[Need]:
    """What a request needs; empty: an operation that has no name here. `headers` by lower-case names."""
    where = urlsplit(target)
    bucket, _, key = unquote(where.path).lstrip("/").partition("/")
    query = dict(parse_qsl(where.query, keep_blank_values=True))
    query.pop("x-id", None)
    whole, at = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{key}"
    if not key:
        if method == "GET" and query.get("list-type") == "2":
            return [Need("s3:ListBucket", whole, query.get("prefix"))]
        return []
    if any(name in headers for name in ("x-amz-acl", "x-amz-tagging", "x-amz-bypass-governance-retention")):
        return []
    match method, sorted(query):
        case (("GET" | "HEAD"), []):
            return [Need("s3:GetObject", at)]
        case "GET", names if "uploadId" in names:
            return [Need("s3:ListMultipartUploadParts", at)]
        case "PUT", [] | ["partNumber", "uploadId"]:
            source = headers.get("x-amz-copy-source")
            read = [] if source is None else [Need("s3:GetObject", f"arn:aws:s3:::{unquote(source).lstrip('/')}")]
            return [Need("s3:PutObject", at), *read]
        case "POST", ["uploads"] | ["uploadId"]:
            return [Need("s3:PutObject", at)]
        case "DELETE", []:
            return [Need("s3:DeleteObject", at)]
        case "DELETE", ["uploadId"]:
            return [Need("s3:AbortMultipartUpload", at)]
        case _:
            return []


def _allows(statement: Mapping[str, Any], need: Need) -> bool:
    assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
    assert statement["Effect"] == "Allow"
    if not _like(need.action, statement["Action"]) or not _like(need.resource, statement["Resource"]):
        return False
    condition = statement.get("Condition")
    if condition is None:
        return True
    assert set(condition) == {"StringLike"}
    assert set(condition["StringLike"]) == {"s3:prefix"}
    # A key that the request lacks matches nothing.
    return need.prefix is not None and _like(need.prefix, condition["StringLike"]["s3:prefix"])


def _like(text: str, patterns: str | list[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, one) for one in ([patterns] if isinstance(patterns, str) else patterns))


@contextlib.contextmanager
def policed(upstream: str, statements: list[dict[str, Any]]) -> Iterator[Policed]:
    """Run one in front of the server `upstream` until the block ends."""
    target = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not made.judge(self.command, self.path, headers):
                self.refuse()
                return
            if self.command == "PUT" and "partNumber=" in self.path and not made.may_pass():
                self.close_connection = True
                return
            with contextlib.closing(http.client.HTTPConnection(target, timeout=60)) as there:
                # The signature covers the host that the client named.
                there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    if name not in _HOP:
                        there.putheader(name, value)
                there.endheaders(body)
                reply = there.getresponse()
                content = reply.read()
                bucket = f"arn:aws:s3:::{unquote(urlsplit(self.path).path).lstrip('/').partition('/')[0]}"
                missing = reply.status == 404 and b"NoSuchUpload" not in content and b"NoSuchBucket" not in content
                if missing and not made.allows(Need("s3:ListBucket", bucket)):
                    self.refuse()
                    return
                self.send_response_only(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in _HOP | {"content-length"}:
                        self.send_header(name, value)
                length = reply.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.finish_with(content, length or "0")

        def refuse(self) -> None:
            self.send_response_only(403)
            self.send_header("Content-Type", "application/xml")
            self.finish_with(DENIED, str(len(DENIED)))

        def finish_with(self, content: bytes, length: str) -> None:
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815  the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        made = Policed(f"http://127.0.0.1:{server.server_port}", statements)
        made.parts_open.set()
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    """Clients keep their connections open longer than we live."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle is nothing to print."""
