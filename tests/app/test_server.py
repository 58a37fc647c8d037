"""The served page, visited over HTTP."""

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from regvq.app.gate import ASKED_BYTES
from regvq.app.limits import MEGABYTE, Limits
from regvq.conditions import Caption, ClassLabel, LabelMap
from regvq.data.images import load_image
from regvq.generators import DiscreteDiffusionGenerator
from regvq.provenance import read_record
from tests.app.test_drawing import generator as prepared
from tests.support.site import Site, served
from tests.support.tiny import CODES, tiny_generator, tiny_tokenizer

ENDLESS = 10**6
"""Steps of a diffusion that takes longer than any test."""

WISH = (0, 1.0, 0, 1.0, 1.0)
"""Seed, temperature, top-k, top-p and guidance; steps and parallel follow."""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    tokenizer = tiny_tokenizer()
    generator = tiny_generator(
        tokenizer, ClassLabel(("day", "night")), DiscreteDiffusionGenerator, steps=ENDLESS
    )
    limits = Limits(queue=2, upload_megabytes=1, pixels=2500, seconds=600)
    with served(tokenizer, generator, limits) as site:
        yield site


@pytest.fixture
def client(site: Site) -> Client:
    return Client(site.address, verbose=False, analytics_enabled=False)


def image_file(path: Path, seed: int = 0, side: int = 16) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def reconstruct(client: Client, path: Path) -> Any:
    return client.predict(handle_file(path), "a colour for each code", api_name="/reconstruct")


def sample(client: Client, count: int = 1, steps: int = 3, condition: str | list[int] = "day") -> Any:
    return client.submit(count, condition, *WISH, steps, False, api_name="/sample")


def test_an_image_becomes_tokens_and_an_image(client: Client, site: Site, tmp_path: Path) -> None:
    source = image_file(tmp_path / "a.png", side=18)
    tokens, rebuilt, error, facts, *_ = reconstruct(client, source)
    assert load_image(tokens).shape == (3, 20, 20), "the tokens reach beyond the edge"
    assert load_image(error).shape == load_image(rebuilt).shape == (3, 18, 18)
    assert "5 × 5 = **25 tokens**" in facts


def test_tokens_are_painted_swapped_and_put_back(client: Client, site: Site, tmp_path: Path) -> None:
    _, rebuilt, _, _, canvas, *_ = reconstruct(client, image_file(tmp_path / "a.png"))
    codes = canvas["props"]["codes"]
    view = "a colour for each code"
    absent = next(code for code in range(CODES) if code not in codes)
    _, canvas, painted = client.predict(view, [0, 5], absent, api_name="/paint")
    assert canvas["props"]["codes"] == [
        absent if place in (0, 5) else code for place, code in enumerate(codes)
    ]
    changed = (load_image(painted) != load_image(rebuilt)).any(0)
    assert changed[:8, :8].any()
    assert not changed[8:].any(), "the tiny decoder sees nothing but a token itself"
    _, canvas, _ = client.predict(view, absent, codes[3], api_name="/swap")
    assert absent not in canvas["props"]["codes"]
    _, canvas, back = client.predict(view, api_name="/back")
    assert canvas["props"]["codes"] == codes
    assert (load_image(back) == load_image(rebuilt)).all()


def test_several_visitors_do_not_meet(site: Site, tmp_path: Path) -> None:
    def visit(number: int) -> bool:
        client = Client(site.address, verbose=False, analytics_enabled=False)
        own = reconstruct(client, image_file(tmp_path / f"{number}.png", seed=number))[4]["props"]["codes"]
        edited = client.predict("", [number], 0, api_name="/paint")[1]["props"]["codes"]
        return edited == [*own[:number], 0, *own[number + 1 :]]

    with ThreadPoolExecutor(2) as visitors:  # as many as may wait
        assert all(visitors.map(visit, range(4)))


def test_images_are_drawn_and_depend_on_their_seed(client: Client) -> None:
    first, again = sample(client, 2).result()[0], sample(client, 2).result()[0]
    assert len(first) == 2
    shown = [load_image(one["image"]) for one in first]
    records = [read_record(Path(one["image"])) for one in first]
    assert [(one.seed, one.index, one.conditions, one.watermark) for one in records if one] == [
        (0, 0, ("day",), True),
        (0, 1, ("day",), True),
    ]
    assert shown[0].shape == (3, 16, 16)
    assert (shown[0] != shown[1]).any()
    assert all((one == load_image(other["image"])).all() for one, other in zip(shown, again, strict=True))


def test_images_are_drawn_under_a_caption_and_under_a_painted_label_map() -> None:
    for condition, given, told in (
        (Caption(length=8), "a red house", "a red house"),
        (LabelMap(), [0] * 16, "a painted label map"),
    ):
        with served(tiny_tokenizer(), prepared(condition), Limits()) as site:
            client = Client(site.address, verbose=False, analytics_enabled=False)
            drawn = sample(client, condition=given).result()[0]
            record = read_record(Path(drawn[0]["image"]))
            assert record is not None
            assert record.conditions == (told,)
            if isinstance(condition, LabelMap):
                with pytest.raises(AppError, match="cells"):
                    sample(client, condition=given[1:]).result()


def test_what_is_inpainted_changes_where_it_was_painted(client: Client, tmp_path: Path) -> None:
    source = image_file(tmp_path / "a.png")
    canvas = client.predict(handle_file(source), api_name="/inpaint_image")
    assert (canvas["props"]["rows"], canvas["props"]["columns"]) == (4, 4)
    versions, _ = client.predict([0, 1], 2, "night", *WISH, 3, False, api_name="/inpaint")
    before = load_image(source)
    for version in versions:
        after = load_image(version["image"])
        assert (after[:, 4:] == before[:, 4:]).all()
        assert (after[:, :4, 8:] == before[:, :4, 8:]).all()
        assert (after[:, :4, :8] != before[:, :4, :8]).any()


def test_the_codebook_counts_the_visitors_own_images(client: Client, tmp_path: Path) -> None:
    ask = ("your images on this page", "most used first", 1)
    assert "No image was counted yet" in client.predict(*ask, api_name="/codebook")[0]
    codes = reconstruct(client, image_file(tmp_path / "a.png"))[4]["props"]["codes"]
    facts, tiles = client.predict(*ask, api_name="/codebook")
    assert f"**{len(set(codes))}** of {CODES} codes occur in **16** tokens" in facts
    assert tiles.count("<figure") == CODES
    most = max(set(codes), key=lambda code: (codes.count(code), -code))
    assert f"</i>{most} <span>{codes.count(most)}×" in tiles


def test_an_unreadable_upload_is_a_sentence(client: Client, tmp_path: Path, capfd: Any) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(AppError, match="cannot read the upload as an image"):
        reconstruct(client, broken)
    with pytest.raises(AppError, match=r"more than 2,500 pixels: scale it down"):
        reconstruct(client, image_file(tmp_path / "large.png", side=51))
    assert "Traceback" not in capfd.readouterr().err


def test_a_wrong_wish_is_a_sentence(client: Client) -> None:
    with pytest.raises(AppError, match="whole number from 1 to 16"):
        sample(client, 17).result()
    with pytest.raises(AppError, match="there is no class"):
        sample(client, condition="noon").result()


def test_a_full_queue_is_a_sentence(site: Site, tmp_path: Path) -> None:
    with Leaver(site) as first, Leaver(site) as second, Leaver(site) as third, Leaver(site) as fourth:
        assert first.ask() == 200
        first.wait_for("process_generating")
        assert [second.ask(), third.ask()] == [200, 200], "two may wait"
        assert fourth.ask() == 429
        assert fourth.answer["detail"] == "2 requests are waiting already: try again in a moment"


class Leaver:
    """A visitor who asks for what takes for ever, and leaves when the block ends."""

    def __init__(self, site: Site) -> None:
        self.http = httpx.Client(base_url=site.address, timeout=60)
        self.session = os.urandom(8).hex()
        self.answer: Any = None

    def __enter__(self) -> "Leaver":
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()

    def ask(self) -> int:
        functions = self.http.get("/config").json()["dependencies"]
        (index,) = (one["id"] for one in functions if one["api_name"] == "sample")
        data = [16, "day", *WISH, 1000, False]
        body = {"data": data, "fn_index": index, "session_hash": self.session}
        response = self.http.post("/gradio_api/queue/join", json=body)
        self.answer = response.json()
        if response.status_code == 200:
            stream = self.http.build_request(
                "GET", "/gradio_api/queue/data", params={"session_hash": self.session}
            )
            self.stream = self.http.send(stream, stream=True)
            self.lines = self.stream.iter_lines()
        return response.status_code

    def wait_for(self, message: str) -> None:
        for line in self.lines:
            if line.startswith("data:") and json.loads(line.removeprefix("data:"))["msg"] == message:
                return
        raise AssertionError(f"the stream ended without {message}")


SECRETS = ("/etc/passwd", "/proc/self/environ", __file__, str(Path(__file__).parent), str(Path.cwd()))


@pytest.mark.parametrize("secret", SECRETS)
def test_no_path_of_the_server_can_be_read(site: Site, secret: str) -> None:
    inside = str(site.studio.shelf.folder)
    ways = [
        secret,
        secret.lstrip("/"),
        f"{inside}/..{secret}",
        f"{inside}/{'../' * 12}{secret.lstrip('/')}",
    ]
    prefixes = (
        "/gradio_api/file=",
        "/file=",
        "/gradio_api/file/",
        "/static/",
        "/assets/",
        "/",
        "/static/../",
    )
    with httpx.Client(base_url=site.address) as http:
        for prefix in prefixes:
            for way in ways:
                for written in (way, quote(way, safe=""), quote(quote(way, safe=""), safe="")):
                    request = http.build_request("GET", "/")
                    raw = (prefix + written).encode()
                    request.url = request.url.copy_with(raw_path=raw)  # as it is, dots not resolved
                    assert http.send(request).status_code in (400, 403, 404), raw


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/file=https://example.com/",
        "/gradio_api/proxy=https://example.com/",
        "/gradio_api/component_server",
        "/gradio_api/call/sample",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/monitoring",
        "/monitoring/summary",
        "/login",
        "/docs",
    ],
)
def test_what_the_page_does_not_need_is_not_there(site: Site, path: str) -> None:
    assert httpx.get(site.address.rstrip("/") + path).status_code == 404
    assert httpx.post(site.address.rstrip("/") + path, json={}).status_code == 404


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": "/etc/passwd"},
        {"path": "https://example.com/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": None, "url": "data:image/png;base64,AAAA", "meta": {"_type": "gradio.FileData"}},
    ],
)
def test_an_image_must_have_been_uploaded(site: Site, file: dict[str, Any]) -> None:
    body = {"data": [file, "", None], "fn_index": 0, "session_hash": "stranger"}
    response = httpx.post(f"{site.address}gradio_api/queue/join", json=body)
    assert response.status_code == 400
    assert response.json()["detail"].startswith("an image must be uploaded")


def test_an_upload_and_a_request_have_a_largest_size(site: Site) -> None:
    upload = f"{site.address}gradio_api/upload"
    fits = httpx.post(upload, files={"files": ("a.bin", io.BytesIO(b"x" * (MEGABYTE - 1)))})
    assert fits.status_code == 200
    assert site.studio.shelf.holds(fits.json()[0])
    for size in (MEGABYTE + 1000, 3 * MEGABYTE):  # gradio's own limit, and the gate's
        response = httpx.post(upload, files={"files": ("a.bin", io.BytesIO(b"x" * size))})
        assert response.status_code == 413
    join = f"{site.address}gradio_api/queue/join"
    assert httpx.post(join, content=b" " * (ASKED_BYTES + 1)).status_code == 413


def test_the_page_asks_no_other_server_for_anything(site: Site) -> None:
    page = httpx.get(site.address)
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "fonts.googleapis" not in page.text
    assert httpx.get(f"{site.address}config").json()["analytics_enabled"] is False


def test_a_request_has_a_time_limit(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    generator = tiny_generator(
        tokenizer, ClassLabel(("day", "night")), DiscreteDiffusionGenerator, steps=ENDLESS
    )
    with served(tokenizer, generator, Limits(seconds=0.2)) as site:
        client = Client(site.address, verbose=False, analytics_enabled=False)
        with pytest.raises(AppError, match=r"longer than the 0\.2 seconds"):
            sample(client, 16, steps=1000).result()
        assert reconstruct(client, image_file(tmp_path / "a.png")), "the next one is served"


def test_files_are_deleted_after_a_while_but_for_the_examples(tmp_path: Path) -> None:
    with served(tiny_tokenizer(), None, Limits(keep_seconds=6)) as site:
        folder = site.studio.shelf.folder
        examples = set(folder.rglob("*.png"))
        client = Client(site.address, verbose=False, analytics_enabled=False)
        reconstruct(client, image_file(tmp_path / "a.png"))
        assert len(set(folder.rglob("*.png")) - examples) == 4, "the upload and three pictures"
        for _ in range(600):
            if set(folder.rglob("*.png")) == examples:
                break
            time.sleep(0.1)
        assert set(folder.rglob("*.png")) == examples


def test_the_visitors_folder_is_gone_in_the_end() -> None:
    with served(tiny_tokenizer(), None, Limits()) as site:
        folder = site.studio.shelf.folder
        assert any(folder.iterdir()), "the examples"
    assert not folder.exists()
    assert not any(thread.name.startswith("regvq") for thread in threading.enumerate())
