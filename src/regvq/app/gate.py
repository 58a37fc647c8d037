"""What stands between the network and gradio: nothing gets through but what the page needs.

Gradio serves much that this page has no use for, among it files by their path and other servers' addresses.
The gate knows the few addresses of the page; of files it lets only the visitors' own through; a body has a
bound; and a full queue is told as the sentence that it is, not as a failure of the server.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from regvq.app.studio import Studio

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
ASKING = (f"{API}/queue/join", f"{API}/run/predict")
"""Where the page sends what its visitor wants."""

EXACT = frozenset(
    {
        *("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"),
        *(f"{API}/{name}" for name in ("info", "app_id", "theme.css", "startup-events", "upload_progress")),
        *(f"{API}/{name}" for name in ("queue/data", "queue/status", "cancel", "reset")),
        *(UPLOAD, *ASKING),
    }
)
BELOW = ("/assets/", "/static/", "/svelte/", f"{API}/heartbeat/")

ASKED_BYTES = 2**20
"""The longest body of a request: a painting of 256 x 256 cells has half of it."""

MULTIPART_BYTES = 2**16
"""What an upload may have around the file itself."""

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"worker-src 'self' blob:; object-src 'none'; base-uri 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
"""The browser of a visitor talks to this server and to no other one."""


class Gate:
    """Stands before an ASGI application.

    Args:
        app: gradio's.
        studio: what it serves.
    """

    def __init__(self, app: App, studio: Studio) -> None:
        self.app = app
        self.shelf = studio.shelf
        self.limits = studio.limits
        self._worker = studio.worker
        self._closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # the page opens no web socket
        path = scope["path"].rstrip("/") or "/"
        if not self._is_known(path):
            await _answer(send, 404, "there is nothing here")
            return
        if scope["method"] in ("GET", "HEAD"):
            await self.app(scope, self._until_closing(receive), _with_headers(send))
            return
        most = self.limits.upload_bytes + MULTIPART_BYTES if path == UPLOAD else ASKED_BYTES
        body = _Body(receive, most)
        if path in ASKING:
            asked = await body.whole()
            if asked is not None and not self._names_own_files(asked):
                await _answer(send, 400, "an image must be uploaded: it cannot be given by an address")
                return
        answers = _Answers(send, self._refusals(body))
        try:
            await self.app(scope, body.receive, answers.send)
        except Exception:  # gradio's way to take a body that ends too soon
            if not body.is_too_long:
                raise
        if body.is_too_long:
            await answers.refuse(413)

    def close(self) -> None:
        """Ends what is computed, and lets go of the connections that open pages hold."""
        self._worker.closed.set()
        self._closing.set()

    def _until_closing(self, receive: Receive) -> Receive:
        """``receive``, for which visitors leave when the server stops."""

        async def receive_or_leave() -> Message:
            message = asyncio.ensure_future(receive())
            closing = asyncio.ensure_future(self._closing.wait())
            try:
                await asyncio.wait((message, closing), return_when=asyncio.FIRST_COMPLETED)
                return message.result() if message.done() else {"type": "http.disconnect"}
            finally:
                message.cancel()
                closing.cancel()

        return receive_or_leave

    def _is_known(self, path: str) -> bool:
        if path.startswith(FILE):
            return self.shelf.holds(path.removeprefix(FILE))
        return path in EXACT or (path.startswith(BELOW) and ".." not in path.split("/"))

    def _names_own_files(self, body: bytes) -> bool:
        """Whether every file in a request is one that was uploaded here.

        Gradio would fetch what an address names, and decode an image that is written into one.
        """
        try:
            return self._are_own(json.loads(body))
        except (ValueError, RecursionError):
            return True  # no JSON: gradio refuses it

    def _are_own(self, value: Any) -> bool:
        if isinstance(value, dict):
            path, url = value.get("path"), value.get("url")
            named = [part for part in (path, url) if isinstance(part, str)]
            if any(part.startswith("data:") for part in named):
                return False
            if isinstance(path, str) and not self.shelf.holds(path):
                return False
            return all(map(self._are_own, value.values()))
        return all(map(self._are_own, value)) if isinstance(value, list) else True

    def _refusals(self, body: "_Body") -> Callable[[int], tuple[int, str] | None]:
        """What is answered instead of the status that gradio gives, where it is not gradio's to give."""
        too_long = f"this is larger than the {self.limits.upload_megabytes} MB that are allowed"
        busy = f"{self.limits.queue} requests are waiting already: try again in a moment"

        def refusal(status: int) -> tuple[int, str] | None:
            if body.is_too_long:
                return 413, too_long
            return (429, busy) if status == 503 else None

        return refusal


class _Body:
    """The body of a request, no more of it than allowed.

    Attributes:
        is_too_long: whether there was more; the application sees the visitor leave.
    """

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._seen = 0
        self._kept: Message | None = None
        self.is_too_long = False

    async def receive(self) -> Message:
        """The next part."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        if not self.is_too_long:
            message = await self._receive()
            self._seen += len(message.get("body", b""))
            self.is_too_long = self._seen > self._most
        return {"type": "http.disconnect"} if self.is_too_long else message

    async def whole(self) -> bytes | None:
        """All of it, which ``receive`` then gives again; ``None`` where it is too long or cut short."""
        parts, more = [], True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        self._kept = {"type": "http.request", "body": body, "more_body": False}
        return body


class _Answers:
    """What the application answers, unless it is answered otherwise.

    Args:
        send: to the visitor.
        refusal: status and sentence instead of a status of the application.
    """

    def __init__(self, send: Send, refusal: Callable[[int], tuple[int, str] | None]) -> None:
        self._send = _with_headers(send)
        self._refusal = refusal
        self._started = False
        self._refused = False

    async def send(self, message: Message) -> None:
        """Passes an answer on, or refuses instead."""
        if message["type"] == "http.response.start":
            await self.refuse(message["status"])
            self._started = True
        if not self._refused:
            await self._send(message)

    async def refuse(self, status: int) -> None:
        """Refuses where this status is refused and nothing was answered yet."""
        refusal = self._refusal(status)
        if refusal is not None and not self._started:
            self._started = self._refused = True
            await _answer(self._send, *refusal)


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await send(message)

    return with_headers


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
