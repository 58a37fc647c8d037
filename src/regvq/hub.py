"""Models on the Hugging Face Hub: found here first, and sent there with their card."""

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from regvq.errors import RegvqError

FILES = ("config.json", "model.safetensors")
"""What a model of ours consists of."""


class Api(Protocol):
    """What of ``huggingface_hub.HfApi`` is used."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Makes the place."""

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> Any:
        """Fills it."""


def is_id(name: str | Path) -> bool:
    """Whether ``name`` is ``owner/name`` on the Hub and not a path: no folder ``owner`` is here."""
    parts = str(name).split("/")
    owner_and_name = len(parts) == 2 and all(re.fullmatch(r"\w[\w.-]*", part) for part in parts)
    return owner_and_name and not Path(parts[0]).exists()


def local_folder(name: str | Path, revision: str | None = None, files: tuple[str, ...] = FILES) -> Path:
    """The folder of a model: ``name`` itself, the Hub's cache, or, if need be, what is downloaded into it.

    Args:
        name: a folder, or ``owner/name`` on the Hub.
        revision: branch, tag or commit there; ``main`` if none is given. What the cache holds of a branch
            is taken without asking whether the Hub has something newer.
        files: what the model consists of; nothing else is downloaded.

    Raises:
        RegvqError: ``name`` is on the Hub and can be found neither in the cache nor there.
    """
    if not is_id(name):
        return Path(name)
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    options: dict[str, Any] = {"revision": revision, "allow_patterns": list(files)}
    try:
        cached = Path(snapshot_download(str(name), local_files_only=True, **options))
        if all((cached / file).is_file() for file in files):
            return cached
    except LocalEntryNotFoundError:
        pass
    except HFValidationError:
        raise RegvqError(
            f"there is no folder {name}, and the Hub has no such names: give a folder"
        ) from None
    if constants.HF_HUB_OFFLINE:
        raise RegvqError(
            f"there is no folder {name}, and the Hub's cache does not hold it whole: unset HF_HUB_OFFLINE "
            "to download it, or give a folder"
        )
    try:
        return Path(snapshot_download(str(name), **options))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RegvqError(
            f"there is no folder {name}, and it cannot be had from the Hub ({reason}): give a folder or a "
            "model that the Hub has"
        ) from None


def push(
    save: Callable[[Path], None],
    files: Mapping[str, bytes],
    repo_id: str,
    private: bool,
    api: Api | None = None,
) -> None:
    """Uploads a model with its card, as one commit.

    Args:
        save: writes the model into a folder.
        files: what lies beside it, by name: the card, ``README.md``, and what it shows.
        repo_id: ``owner/name``; made if it does not exist.
        private: whether others cannot see it, if it is made.
        api: what uploads; ``huggingface_hub.HfApi()`` with the user's own login if none is given.

    Raises:
        RegvqError: the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    # HTTPError is that of its HTTP library, which it imports there without exporting it.
    from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]

    chosen: Api = api or HfApi()
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            chosen.create_repo(repo_id, private=private, exist_ok=True)
            chosen.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload with regvq")
        except (HTTPError, HFValidationError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RegvqError(
                f"cannot upload to {repo_id} ({reason}): check its name, your login (hf auth login) and "
                "the network"
            ) from None
