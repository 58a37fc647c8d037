"""A caption as byte-pair ids."""

import warnings
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from regvq.conditions.base import NULL, Condition, require_key
from regvq.data import Sample
from regvq.data.base import size_of
from regvq.errors import RegvqError
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

_NULL_TOKEN = "<null>"


class Caption(Condition):
    """A sentence in lower case as byte-pair ids, filled up with null to a fixed length.

    The byte pairs are learned from the training captions (Sennrich et al., "Neural Machine Translation
    of Rare Words with Subword Units", 2016) and travel with the generator. All bytes are in the
    vocabulary, so any sentence has ids.

    Args:
        vocabulary: ids at most, null and the 256 bytes included.
        length: ids a caption; a longer one is cut.
        learn_from: images of the training data whose captions the byte pairs are learned from, at most.
        byte_pairs: the learned pairs as JSON; learned from the data where none are given.
    """

    key: ClassVar[str | None] = "caption"

    def __init__(
        self,
        vocabulary: int = 512,
        length: int = 40,
        learn_from: int = 10000,
        byte_pairs: str | None = None,
    ) -> None:
        if vocabulary < 257 or length < 1 or learn_from < 1:
            raise RegvqError(
                f"captions need vocabulary >= 257, length >= 1 and learn_from >= 1, not {vocabulary}, "
                f"{length} and {learn_from}"
            )
        self.vocabulary = vocabulary
        self._length = length
        self.learn_from = learn_from
        self._pairs = None if byte_pairs is None else _load(byte_pairs)
        self._has_warned = False

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.vocabulary

    @property
    def length(self) -> int:
        """Ids a caption."""
        return self._length

    def prepare(self, dataset: Dataset[Sample], grid: tuple[int, int]) -> None:
        """Learns the byte pairs from the captions of the data."""
        if self._pairs is not None:
            return
        pairs = Tokenizer(models.BPE())
        pairs.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            special_tokens=[_NULL_TOKEN],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        pairs.train_from_iterator(_captions(dataset, self.learn_from), trainer)
        self._pairs = pairs
        self.resolve_init_args(byte_pairs=pairs.to_str())

    def ids(self, values: Sequence[str]) -> Tensor:
        """Sentences to ``[B, P]``; warns of every one that is cut."""
        rows, cut = self._rows(values)
        for sentence in cut:
            warnings.warn(sentence, stacklevel=2)
        return rows

    def of(self, batch: Sample) -> Tensor:
        """The ids of a batch of samples; warns of the first caption that is cut, and of no other."""
        require_key(batch, "caption", type(self).__name__)
        rows, cut = self._rows(batch["caption"])
        if cut and not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{cut[0]} (others are cut without a word)", stacklevel=2)
        return rows

    def _rows(self, values: Sequence[str]) -> tuple[Tensor, list[str]]:
        """The ids, and a sentence on each caption that was cut."""
        if self._pairs is None:
            raise RegvqError("these captions have learned no byte pairs yet: call prepare first")
        rows, cut = torch.full((len(values), self._length), NULL, dtype=torch.int64), []
        for row, text in zip(rows, values, strict=True):
            if not text.strip():
                raise RegvqError("a caption is empty: say something, or generate without a condition")
            encoding = self._pairs.encode(text, add_special_tokens=False)
            if len(encoding.ids) > self._length:
                end = encoding.offsets[self._length - 1][1]
                cut.append(
                    f"a caption has {len(encoding.ids)} tokens, {self._length} fit: it was cut after "
                    f"…{text[max(0, end - 30) : end]!r}, without {text[end:].strip()!r}"
                )
            kept = encoding.ids[: self._length]
            row[: len(kept)] = torch.tensor(kept)
        return rows, cut

    def read(self, text: str) -> str:
        """The sentence itself."""
        if not text.strip():
            raise RegvqError("a caption is empty: say something, or generate without a condition")
        return text


def _load(text: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise RegvqError(f"byte_pairs cannot be read: {error}") from None


def _captions(dataset: Dataset[Sample], limit: int) -> Iterator[str]:
    """What is said of the first images of a data set, without their pixels where it can."""
    known = getattr(dataset, "captions", lambda item: ())
    for item in range(min(limit, size_of(dataset))):
        captions = known(item)
        if not captions:
            sample = dataset[item]
            require_key(sample, "caption", "Caption")
            captions = (sample["caption"],)
        yield from captions
