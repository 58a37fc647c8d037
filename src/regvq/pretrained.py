"""What tokenizers and generators have in common: they are saved, and published with a card."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

from torch import nn

from regvq import hub, model_folder
from regvq.configurable import Configurable
from regvq.model_card import USAGE_PICTURE, CardFacts, model_card


class PretrainedModel(nn.Module, Configurable, ABC):
    """A model that is one folder on disk, and one place on the Hugging Face Hub."""

    kind: ClassVar[Literal["tokenizer", "generator"]]
    """What its card calls it."""

    def save_pretrained(self, path: str | Path) -> None:
        """Writes ``config.json`` and ``model.safetensors`` into the folder ``path``.

        Both are written beside and renamed, so that an interruption leaves the old folder whole.
        """
        model_folder.save_model(self, Path(path))

    def push_to_hub(
        self, repo_id: str, facts: CardFacts, *, private: bool = False, api: hub.Api | None = None
    ) -> None:
        """Uploads the model with a card that is made from ``facts`` and from what the model says itself.

        Args:
            repo_id: ``owner/name``; made if it does not exist.
            facts: data, budget, figures, licence; counts of the codes' use become a picture, too.
            private: whether others cannot see it, if it is made.
            api: what uploads; ``huggingface_hub.HfApi()`` if none is given.

        Raises:
            RegvqError: the Hub refuses or cannot be reached.
        """
        card = model_card(self.kind, self.about(), facts, repo_id)
        files = {"README.md": card.encode()}
        if len(facts.counts):
            from regvq.usage_chart import usage_chart  # matplotlib takes its time

            files[USAGE_PICTURE] = usage_chart(facts.counts)
        hub.push(self.save_pretrained, files, repo_id, private, api)

    @abstractmethod
    def about(self) -> dict[str, str]:
        """What a model card says of the model itself, by name."""
