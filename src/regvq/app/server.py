"""The server: the page behind the gate, at one address, until it is interrupted."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI

from regvq.app.gate import Gate
from regvq.app.page import build_page, theme
from regvq.app.painter import ASSETS
from regvq.app.studio import Studio
from regvq.errors import RegvqError

PATIENCE = 1
"""Seconds that open connections have when the server stops: pages keep one for as long as they are open."""


@contextmanager
def visitors_folder() -> Iterator[Path]:
    """A private folder for the visitors' files, gradio's too; gone with all it holds in the end.

    It must stand before the page is built.
    """
    folder = Path(tempfile.mkdtemp(prefix="regvq-serve-")).resolve()
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


def build_app(studio: Studio) -> Gate:
    """The whole application of a studio whose shelf is the ``visitors_folder``, for any ASGI server."""
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        build_page(studio),
        path="/",
        allowed_paths=[],
        max_file_size=studio.limits.upload_bytes,
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        theme=theme(),
        css=(ASSETS / "app.css").read_text(encoding="utf-8"),
    )
    return Gate(app, studio)


def listen(host: str, port: int) -> socket.socket:
    """A socket at the address; port 0 takes any that is free.

    Raises:
        RegvqError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise RegvqError(
            f"cannot serve at {host}, port {port}: {error.strerror}; give another --host or --port"
        ) from None
    return listener


def address(listener: socket.socket) -> str:
    """What a visitor types."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


class Server(uvicorn.Server):
    """Serves until the process is interrupted, or ``should_exit`` is set.

    Args:
        app: of ``build_app``.
        ready: called when visitors may come.
    """

    def __init__(self, app: Gate, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, access_log=False, timeout_graceful_shutdown=PATIENCE, lifespan="on"
            )
        )
        self._gate = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn; what is computed ends, and nobody is waited for."""
        self._gate.close()
        await super().shutdown(sockets)
