"""The web app, really served: in a thread of the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from regvq.app import server
from regvq.app.limits import Limits
from regvq.app.shelf import Shelf
from regvq.app.studio import Studio
from regvq.generators import Generator
from regvq.tokenizers import ImageTokenizer


@dataclass(frozen=True)
class Site:
    """Where it is served, and what is behind it."""

    address: str
    studio: Studio


@contextmanager
def served(tokenizer: ImageTokenizer, generator: Generator | None, limits: Limits) -> Iterator[Site]:
    """Serves until the block ends."""
    with server.visitors_folder() as folder, server.listen("127.0.0.1", 0) as listener:
        studio = Studio(tokenizer, generator, Shelf(folder, limits.pixels), limits)
        ready = threading.Event()
        serving = server.Server(server.build_app(studio), ready.set)
        thread = threading.Thread(target=serving.run, args=([listener],), daemon=True)
        thread.start()
        assert ready.wait(60)
        try:
            yield Site(server.address(listener), studio)
        finally:
            serving.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
