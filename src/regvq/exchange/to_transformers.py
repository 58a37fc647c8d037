"""An autoregressive generator as the folder of a stock transformers ``LlamaForCausalLM``."""

import copy
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, LlamaForCausalLM

from regvq.configurable import describe
from regvq.errors import RegvqError
from regvq.exchange.stock import require_free, write_stock
from regvq.generators import AutoregressiveGenerator, Generator


def save_llama(generator: Generator, path: str | Path) -> None:
    """Writes a folder that ``transformers.AutoModelForCausalLM`` reads without this package.

    ``config.image_tokens`` says what the ids are (see ``vocabulary_map``). The generation configuration
    asks for an image's number of tokens and suppresses every id that is no code, because nothing has ever
    taught the network that those do not follow.

    Raises:
        RegvqError: the generator is no Llama over tokens, or the folder is not empty.
    """
    require_free(Path(path))
    if not isinstance(generator, AutoregressiveGenerator):
        raise RegvqError(
            f"a {type(generator).__name__} cannot be exported: it is no causal language model; export an "
            "AutoregressiveGenerator"
        )
    config = copy.deepcopy(generator.network.config)
    config.image_tokens = vocabulary_map(generator)
    config.architectures = [LlamaForCausalLM.__name__]
    model = LlamaForCausalLM(config)
    model.load_state_dict(generator.network.state_dict())
    vocabulary = generator.vocabulary
    model.generation_config = GenerationConfig(
        do_sample=True,
        top_k=0,
        max_new_tokens=generator.length,
        suppress_tokens=list(range(vocabulary.codebook_size, vocabulary.size)),
    )
    write_stock(Path(path), model.save_pretrained)


def vocabulary_map(generator: Generator) -> dict[str, Any]:
    """What a generator's ids mean, JSON-ready.

    A prompt is ``condition_length`` ids from ``null`` up to the vocabulary's end, then ``start``; what
    follows are ``grid[0] * grid[1]`` codes, row by row. Where no condition is given, its ids are all null.

    Returns:
        ``codes``, the number N of codes, which are the ids 0 to N-1; ``mask``, ``start`` and ``null``, ids;
        ``condition_length``; ``condition``, how it was built (of class labels: label ``i`` is the id
        ``null + 1 + i``); ``grid``, rows and columns; ``tokenizer``, its fingerprint.
    """
    vocabulary = generator.vocabulary
    return {
        "codes": vocabulary.codebook_size,
        "mask": vocabulary.mask,
        "start": vocabulary.start,
        "null": vocabulary.start + 1,
        "condition_length": generator.condition.length,
        "condition": describe(generator.condition),
        "grid": list(generator.source.grid),
        "tokenizer": generator.source.fingerprint,
    }
