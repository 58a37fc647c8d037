"""Visitors of the web page: many at once, and some who leave or stop in the middle of a drawing."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client

from benchmarks.visitors import crowd, models, serving
from regvq.app.limits import Limits
from regvq.conditions import ClassLabel
from regvq.generators import DiscreteDiffusionGenerator
from tests.app.test_server import Leaver, image_file, reconstruct, sample
from tests.faults.conftest import FULL, Faults
from tests.support.site import Site, served
from tests.support.tiny import tiny_generator, tiny_tokenizer

STEPS = 1000
"""Of a drawing, the most that may be asked for."""


def test_a_crowd(tmp_path: Path, faults: Faults) -> None:
    """A real server in a process of its own."""
    visitors, seconds = faults.count(3, 50), float(faults.count(3, 120))
    with serving(*models(tmp_path)) as (address, resident):
        record = asyncio.run(crowd(address, visitors, seconds, resident))
    assert set(record.seconds) == {"reconstruct", "paint", "sample"}
    assert record.left >= 1, "every fifth visitor leaves, the first one among them"
    lost = [f"{count} answers of {status}" for status, count in record.statuses.items() if status >= 500]
    lost += [f"no answer but: {said}" for said in record.sentences if "try again in a moment" not in said]
    # Within seconds the first computation is all the growth there is.
    if FULL and record.growth() > 1.25:
        lost.append(
            f"the server grew by {record.growth():.2f} from the first third of the time to the last"
        )
    sizes = [size for _, size in record.resident]
    answers = sum(map(len, record.seconds.values()))
    found = (
        f"{answers} results, the slowest after {record.slowest():.1f} s; {record.statuses[429]} told to "
        f"try again; {record.left} drawings left; the server had {sizes[0]:.0f} to {max(sizes):.0f} MB"
    )
    what = f"answers to {visitors} visitors at once, {seconds:g} s"
    faults.record("visitors", what, sum(record.statuses.values()), lost, found)


@dataclass
class Drawing:
    """A page whose drawings take seconds, and the steps that they have made."""

    site: Site
    steps: int = 0

    def step(self, *_: Any) -> None:
        self.steps += 1
        time.sleep(0.01)


@pytest.fixture(scope="module")
def drawing() -> Iterator[Drawing]:
    tokenizer = tiny_tokenizer()
    generator = tiny_generator(
        tokenizer, ClassLabel(("day", "night")), DiscreteDiffusionGenerator, steps=STEPS
    )
    with served(tokenizer, generator, Limits(seconds=600)) as site:
        drawing = Drawing(site)
        generator.network.register_forward_pre_hook(drawing.step)
        yield drawing


def leave(drawing: Drawing, client: Client) -> None:
    with Leaver(drawing.site) as leaver:
        leaver.ask()
        leaver.wait_for("process_generating")


def stop(drawing: Drawing, client: Client) -> None:
    endless = sample(client, count=16, steps=STEPS)
    while not endless.outputs():  # it computes, and says so again and again
        time.sleep(0.01)
    endless.cancel()


@pytest.mark.parametrize("end", [leave, stop])
def test_a_place_is_free_again(
    end: Callable[[Drawing, Client], None], drawing: Drawing, tmp_path: Path, faults: Faults
) -> None:
    """The next one is served before the drawing could have come to its end."""
    client = Client(drawing.site.address, verbose=False, analytics_enabled=False)
    picture, tries, lost = image_file(tmp_path / "a.png"), faults.count(2, 20), []
    for _ in range(tries):
        before = drawing.steps
        end(drawing, client)
        assert reconstruct(client, picture)
        if drawing.steps - before >= STEPS:
            lost.append("the next visitor waited until the drawing was done")
    what = "drawings whose visitor leaves" if end is leave else "drawings that are stopped"
    faults.record("visitors", f"{what}: the next one is served", tries, lost)
