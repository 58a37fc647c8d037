"""Visitors of the web page, many at once: what they are answered, how fast, and the server's memory.

    .venv/bin/python benchmarks/visitors.py [--quick] [--visitors N] [--seconds S] [--json PATH]

The real server runs in a process of its own, with small untrained models unless --tokenizer and
--generator name others. Every visitor loads the page, uploads an image, has it reconstructed, paints a
token over, draws, and begins anew; every fifth one leaves in the middle of a drawing. What an answer took
counts from its request to its last message, waiting included. Bars: no status of 500 or more, and memory
that does not grow by more than a quarter from the first third of the time to the last. In the end a place
must be free.
"""

import argparse
import asyncio
import collections
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image

from measuring import Bar, finish, machine
from regvq.conditions import NoCondition
from regvq.generators import DiscreteDiffusionGenerator, TokenSource
from regvq.nets import VQGANBackbone
from regvq.quantizers import RegularizedVectorQuantizer
from regvq.tokenizers import ImageTokenizer

SIDE = 64
LEAVES = 5
"""Every so manieth visitor leaves in the middle of a drawing."""

WISH = (0, 1.0, 0, 1.0, 1.0, 8, False)
"""Seed, temperature, top-k, top-p, guidance, steps, parallel."""


@dataclass
class Record:
    """What happened.

    Attributes:
        statuses: answers by status.
        seconds: of every finished request, by what was asked.
        sentences: what was told instead of a result, by how often.
        left: drawings that were left.
        resident: megabytes of the server, with the second they were seen at.
    """

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    sentences: collections.Counter[str] = field(default_factory=collections.Counter)
    left: int = 0
    resident: list[tuple[float, float]] = field(default_factory=list)

    def growth(self) -> float:
        """Peak of the last third over the peak of the first."""
        end = self.resident[-1][0]
        first = [size for second, size in self.resident if second <= end / 3]
        last = [size for second, size in self.resident if second >= 2 * end / 3]
        return max(last) / max(first)

    def slowest(self) -> float:
        """Seconds of the slowest answer."""
        return max((one for times in self.seconds.values() for one in times), default=0.0)


class Visitor:
    """One browser, as far as the server sees it.

    Args:
        http: at the server's address.
        functions: index of every function of the page by its name.
        record: what happens is written there.
    """

    def __init__(self, http: httpx.AsyncClient, functions: dict[str, int], record: Record) -> None:
        self.http = http
        self.functions = functions
        self.record = record
        self.session = os.urandom(8).hex()

    async def get(self, path: str) -> httpx.Response:
        """Loads a part of the page."""
        return self._seen(await self.http.get(path))

    async def upload(self, content: bytes) -> dict[str, Any]:
        """Uploads an image; the record that the page keeps of it."""
        files = {"files": ("image.png", io.BytesIO(content), "image/png")}
        response = self._seen(await self.http.post("/gradio_api/upload", files=files))
        return {"path": response.json()[0], "meta": {"_type": "gradio.FileData"}}

    async def ask(self, name: str, *values: Any, leave: bool = False) -> bool:
        """Asks for something and waits for it, or leaves when it has begun; whether it was there."""
        start = time.monotonic()
        body = {"data": list(values), "fn_index": self.functions[name], "session_hash": self.session}
        response = self._seen(await self.http.post("/gradio_api/queue/join", json=body))
        if response.status_code != 200:
            self.record.sentences[response.json()["detail"]] += 1
            return False
        done = None
        async with aclosing(self._messages()) as messages:
            async for message in messages:
                if leave and message["msg"] == "process_starts":
                    self.record.left += 1
                    self.session = os.urandom(8).hex()  # who comes back has loaded the page anew
                    return False
                if message["msg"] == "process_completed":
                    self.record.seconds[name].append(time.monotonic() - start)
                    done = message
        if done is None or not done["success"]:
            said = "the connection ended" if done is None else str(done["output"].get("error"))
            self.record.sentences[said] += 1
        return done is not None and bool(done["success"])

    async def _messages(self) -> AsyncGenerator[dict[str, Any], None]:
        """What the server says, until it has no more to say: a page listens to the end."""
        query = {"session_hash": self.session}
        try:
            async with self.http.stream("GET", "/gradio_api/queue/data", params=query) as stream:
                self._seen(stream)
                async for line in stream.aiter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))
        except httpx.RemoteProtocolError as error:
            self.record.sentences[f"the connection broke: {error}"] += 1

    def _seen(self, response: httpx.Response) -> httpx.Response:
        self.record.statuses[response.status_code] += 1
        return response


async def visit(number: int, visitor: Visitor, until: float) -> None:
    """What one visitor does until the time is over."""
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    leaves = number % LEAVES == 0
    while time.monotonic() < until:
        await visitor.get("/")
        image = await visitor.upload(content.getvalue())
        if await visitor.ask("reconstruct", image, "a colour for each code", None):
            await visitor.ask("paint", "a colour for each code", None, [number % 16], number % 8)
        if not await visitor.ask("sample", 4, None, *WISH, leave=leaves):
            await asyncio.sleep(1)  # as somebody would who is told to try again in a moment


async def crowd(address: str, visitors: int, seconds: float, resident: Callable[[], float]) -> Record:
    """Lets them all in at once; what happened."""
    record = Record()
    start = time.monotonic()

    async def watch() -> None:
        while True:
            record.resident.append((time.monotonic() - start, resident()))
            await asyncio.sleep(0.5)

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits) as http:
        config = (await http.get("/config")).json()
        functions = {one["api_name"]: one["id"] for one in config["dependencies"]}
        watching = asyncio.ensure_future(watch())
        visits: list[Awaitable[None]] = [
            visit(number, Visitor(http, functions, record), start + seconds) for number in range(visitors)
        ]
        await asyncio.gather(*visits)
        # Nobody is there any more: the next one must be served at once.
        last = Visitor(http, functions, record)
        assert await last.ask("sample", 1, None, *WISH), "no place was free in the end"
        watching.cancel()
    return record


def models(folder: Path) -> tuple[Path, Path]:
    """Small models that nothing was learned by: folders of a tokenizer and of a generator."""
    backbone = VQGANBackbone((16, 32, 32), 1, latent_channels=16, norm_groups=8, attention=False)
    tokenizer = ImageTokenizer(backbone, RegularizedVectorQuantizer(256, 16))
    tokenizer(torch.rand(4, 3, SIDE, SIDE) * 2 - 1)  # its codes start from data
    source = TokenSource(256, (SIDE // tokenizer.downsampling,) * 2, tokenizer.fingerprint())
    generator = DiscreteDiffusionGenerator(NoCondition(), source, dim=128, layers=2, heads=4, hidden=256)
    tokenizer.save_pretrained(folder / "tokenizer")
    generator.save_pretrained(folder / "generator")
    return folder / "tokenizer", folder / "generator"


@contextmanager
def serving(tokenizer: Path, generator: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """``regvq serve`` in a process of its own: its address, and what tells the megabytes that it has."""
    command = [sys.executable, "-m", "regvq", "serve", str(tokenizer), str(generator), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[2], lambda: resident_megabytes(server.pid)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def resident_megabytes(process: int) -> float:
    """What a process has in memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main() -> int:
    """Measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="8 visitors for 12 seconds: under 45 s on two cores"
    )
    parser.add_argument("--visitors", type=int, help="how many at once (default: 50)")
    parser.add_argument("--seconds", type=float, help="how long they come back (default: 120)")
    parser.add_argument("--tokenizer", type=Path, help="folder of a tokenizer (default: a small one)")
    parser.add_argument("--generator", type=Path, help="folder of a generator without a condition")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there")
    args = parser.parse_args()
    visitors = args.visitors or (8 if args.quick else 50)
    seconds = args.seconds or (12.0 if args.quick else 120.0)
    with tempfile.TemporaryDirectory() as folder:
        given = (args.tokenizer, args.generator) if args.tokenizer else models(Path(folder))
        with serving(*given) as (address, resident):
            record = asyncio.run(crowd(address, visitors, seconds, resident))
    sizes = [size for _, size in record.resident]
    print(f"{visitors} visitors, {seconds:g} s; answers by status: {dict(sorted(record.statuses.items()))}")
    for name, times in sorted(record.seconds.items()):
        middle, most = statistics.median(times), max(times)
        print(f"  {name:<12}{len(times):>6} answers{middle:>8.2f} s median{most:>8.2f} s most")
    print(f"  {record.left} drawings were left; the server took {sizes[0]:.0f} to {max(sizes):.0f} MB")
    for sentence, count in record.sentences.most_common():
        print(f"  {count} x {sentence}")
    failed = sum(count for status, count in record.statuses.items() if status >= 500)
    bars = [
        Bar("answers of 500 or more", failed, 0),
        Bar("memory, last third over first", record.growth(), 1.25),
    ]
    return finish(
        args.json,
        bars,
        machine=machine(),
        visitors=visitors,
        seconds=seconds,
        statuses=dict(record.statuses),
        answers={
            name: {"count": len(times), "median": statistics.median(times), "most": max(times)}
            for name, times in record.seconds.items()
        },
        slowest=record.slowest(),
        left=record.left,
        resident_mb={"first": sizes[0], "most": max(sizes), "last": sizes[-1]},
    )


if __name__ == "__main__":
    sys.exit(main())
