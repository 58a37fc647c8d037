"""``regvq serve`` from its arguments to Ctrl-C."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client

from tests.cli.conftest import Run


def test_it_serves_until_it_is_interrupted(
    tokenizer: Path, generator: Path, photos: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    serving = subprocess.Popen(
        [
            *(sys.executable, "-m", "regvq", "serve", str(tokenizer), str(generator)),
            *("--port", "0", "--images", str(photos)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert serving.stdout is not None
    try:
        line = serving.stdout.readline()
        assert line.startswith("serving at http://127.0.0.1:"), line
        address = line.split()[2]
        assert httpx.get(address).status_code == 200
        client = Client(address, verbose=False, analytics_enabled=False)  # keeps a connection open
        facts, _ = client.predict(
            "the images that the server was started with", "by number", 1, api_name="/codebook"
        )
        assert "in **48** tokens" in facts, "16 + 30 + 2 of the three images"
        assert list(tmp_path.glob("regvq-serve-*"))
    finally:
        serving.send_signal(signal.SIGINT)
        rest, errors = serving.communicate(timeout=300)
    assert (serving.returncode, rest, errors) == (0, "stopped\n", "")
    assert not list(tmp_path.glob("regvq-serve-*")), "the visitors' files are gone"


def test_without_the_extra_it_is_named(
    tokenizer: Path, regvq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def find_all_but_gradio(name: str, package: str | None = None) -> Any:
        return None if name == "gradio" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_all_but_gradio)
    status, _, err = regvq("serve", tokenizer)
    assert status == 2
    assert "pip install 'regvq[serve]'" in err


def test_an_address_that_is_taken_is_a_sentence(tokenizer: Path, regvq: Run) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, _, err = regvq("serve", tokenizer, "--port", port)
    assert status == 2
    assert f"cannot serve at 127.0.0.1, port {port}" in err
    assert "give another --host or --port" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no tokenizer folder nowhere"),
        (["TOKENIZER", "nowhere"], "there is no generator folder nowhere"),
        (["TOKENIZER", "--images", "nowhere"], "there is no image file or folder nowhere"),
        (["TOKENIZER", "--queue", "0"], "must be at least 1"),
        (["TOKENIZER", "--host", "no.such.host.invalid"], "cannot serve at no.such.host.invalid"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], message: str, tokenizer: Path, regvq: Run) -> None:
    given = [str(tokenizer) if argument == "TOKENIZER" else argument for argument in arguments]
    status, _, err = regvq("serve", *given)
    assert status == 2
    assert message in err
