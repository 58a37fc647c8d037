"""Generators as stock Llamas: read by transformers alone, the same logits and greedy tokens."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from regvq.conditions import ClassLabel, NoCondition
from regvq.errors import RegvqError
from regvq.exchange import save_llama
from regvq.generators import (
    AutoregressiveGenerator,
    DiscreteDiffusionGenerator,
    Generator,
    TokenSource,
)
from regvq.types import SamplingOptions
from tests.support.isolation import run_without_regvq

SIZE = {"dim": 16, "layers": 2, "heads": 2, "hidden": 24}
SOURCE = TokenSource(12, (3, 4), "0123456789abcdef")

STOCK = """
import json, sys
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/llama", local_files_only=True)
    tokens = model.config.image_tokens
    given = load_file(f"{folder}/ours.safetensors")
    # Null and the label that the file holds, as ids of the one vocabulary.
    prompts = torch.cat([given["condition"] + tokens["null"], torch.full((2, 1), tokens["start"])], dim=1)
    ids = torch.cat([prompts, given["codes"]], dim=1)
    with torch.no_grad():
        logits = model(ids).logits[:, prompts.shape[1] - 1 : -1, : tokens["codes"]]
        generated = model.generate(prompts, do_sample=False, top_k=None)
        sampled = model.generate(prompts)
        null = torch.full_like(prompts[:, :-1], tokens["null"])
        empty = torch.cat([null, prompts[:, -1:]], dim=1)
        guided = model.generate(
            prompts, do_sample=False, top_k=None, guidance_scale=3.0, negative_prompt_ids=empty
        )
    results = {"logits": logits, "greedy": generated, "sampled": sampled, "guided": guided}
    length = prompts.shape[1]
    results = {name: (value if name == "logits" else value[:, length:]) for name, value in results.items()}
    save_file({name: value.contiguous() for name, value in results.items()}, f"{folder}/stock.safetensors")
"""


def trained(condition) -> AutoregressiveGenerator:
    """A generator whose non-codes would win every choice were they not kept out."""
    generator = AutoregressiveGenerator(condition, SOURCE, **SIZE)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        head = generator.network.lm_head.weight
        head[generator.vocabulary.codebook_size :] = 30 * torch.randn_like(
            head[generator.vocabulary.codebook_size :]
        )
    return generator.eval()


GENERATORS = {
    "classes": (lambda: trained(ClassLabel(["cat", "dog", "owl"])), torch.tensor([[2], [0]])),
    "none": (lambda: trained(NoCondition()), torch.zeros(2, 0, dtype=torch.int64)),
}


def test_transformers_alone_gives_the_same_logits_and_greedy_tokens(tmp_path: Path) -> None:
    generators = {name: make() for name, (make, _) in GENERATORS.items()}
    codes = torch.randint(12, (2, 12))
    for name, generator in generators.items():
        save_llama(generator, tmp_path / name / "llama")
        save_file({"condition": GENERATORS[name][1], "codes": codes}, tmp_path / name / "ours.safetensors")
    run_without_regvq(STOCK, *(tmp_path / name for name in generators))
    for name, generator in generators.items():
        condition = GENERATORS[name][1]
        stock = load_file(tmp_path / name / "stock.safetensors")
        with torch.no_grad():
            logits = generator.logits(codes, condition)
        torch.testing.assert_close(stock["logits"], logits, atol=1e-5, rtol=0)
        greedy = generator.sample(condition, 2, SamplingOptions(top_k=1)).flatten(1)
        assert torch.equal(stock["greedy"], greedy)
        assert len(greedy.unique()) > 3  # equality says something
        guided = generator.sample(condition, 2, SamplingOptions(top_k=1, guidance=3.0)).flatten(1)
        assert torch.equal(stock["guided"], guided)
        assert stock["sampled"].shape == (2, 12)
        assert stock["sampled"].max() < 12
    assert not torch.equal(greedy, stock["sampled"])


def test_the_configuration_says_what_the_ids_mean(tmp_path: Path) -> None:
    save_llama(trained(ClassLabel(["cat", "dog"])), tmp_path / "llama")
    config = json.loads((tmp_path / "llama" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["vocab_size"] == 17  # 12 codes, mask, start, null, two classes
    assert config["image_tokens"] == {
        "codes": 12,
        "mask": 12,
        "start": 13,
        "null": 14,
        "condition_length": 1,
        "condition": {
            "class_path": "regvq.conditions.ClassLabel",
            "init_args": {"classes": ["cat", "dog"]},
        },
        "grid": [3, 4],
        "tokenizer": "0123456789abcdef",
    }


def test_a_generator_that_is_no_language_model_is_refused(tmp_path: Path) -> None:
    generator = DiscreteDiffusionGenerator(NoCondition(), SOURCE, **SIZE, steps=4)
    with pytest.raises(RegvqError, match="DiscreteDiffusionGenerator cannot be exported"):
        save_llama(generator, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_tells_tokenizers_and_generators_apart(tmp_path: Path, capsys) -> None:
    from regvq.cli import main

    generator: Generator = trained(NoCondition())
    generator.save_pretrained(tmp_path / "generator")
    arguments = ["export", str(tmp_path / "generator"), "--output", str(tmp_path / "out"), "--format"]
    assert main([*arguments, "diffusers"]) == 2
    assert "holds a AutoregressiveGenerator, not an image tokenizer" in capsys.readouterr().err
    assert main([*arguments, "transformers"]) == 0
    assert {"config.json", "generation_config.json", "model.safetensors"} == {
        path.name for path in (tmp_path / "out").iterdir()
    }
