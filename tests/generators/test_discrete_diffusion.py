"""What is particular to the diffusion generator."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from regvq.conditions import Caption, ClassLabel
from regvq.generators import UNKNOWN, DiscreteDiffusionGenerator
from tests.contracts.test_conditions import prepared
from tests.contracts.test_generators import SOURCE, WAYS, codes_of


@pytest.mark.parametrize("way", WAYS)
def test_where_codes_are_only_masked_no_mask_is_left(way: str) -> None:
    """A truncated prediction may exclude the very code that is there: it stays."""
    torch.manual_seed(0)
    generator = DiscreteDiffusionGenerator(
        ClassLabel(["a"]), SOURCE, dim=32, layers=2, heads=2, hidden=64, transition="absorbing"
    )
    torch.nn.init.normal_(generator.head.weight)  # sure of itself, and often of something new
    known = codes_of(4)
    known[:, :2] = UNKNOWN
    drawn = generator.sample(None, 4, replace(WAYS[way], top_k=1), known)
    assert drawn.max() < SOURCE.codebook_size
    assert torch.equal(drawn[:, 2:], known[:, 2:])


def test_the_condition_is_read_once_and_in_its_order() -> None:
    """Against one pass over all ids with the mask written out."""
    torch.manual_seed(0)
    condition = prepared(Caption)
    generator = DiscreteDiffusionGenerator(condition, SOURCE, dim=32, layers=2, heads=2, hidden=64).eval()
    for weight in generator.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    ids = torch.randint(condition.size, (2, condition.length))
    noisy, times = codes_of(2).flatten(1), torch.tensor([3, 90])

    places = ids.shape[1] + 1 + generator.length
    seen = torch.ones(places, places, dtype=torch.bool)
    seen[: ids.shape[1]] = seen.tril()[: ids.shape[1]]  # a word sees the words before it, and no picture
    embed = generator.network.embed_tokens
    inputs = torch.cat(
        [
            embed(generator.vocabulary.condition(ids)),
            generator.time(times)[:, None],
            embed(noisy),
        ],
        dim=1,
    )
    mask = seen.expand(2, 1, -1, -1)
    hidden = generator.network(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
    expected = generator.head(hidden[:, -generator.length :])
    with torch.no_grad():
        torch.testing.assert_close(generator.logits(noisy, times, ids), expected, rtol=1e-4, atol=1e-4)
        read = generator._read(ids)
        for _ in range(2):  # it stays as it is
            torch.testing.assert_close(
                generator._logits(noisy, times, read), expected, rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize("way", WAYS)
def test_guided_sampling_reads_the_condition_once(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    generator = DiscreteDiffusionGenerator(
        ClassLabel(["a", "b"]), SOURCE, dim=32, layers=2, heads=2, hidden=64
    )
    lengths: list[int] = []
    original = generator.network.forward

    def counted(
        *, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **rest: Any
    ) -> Any:
        given = input_ids if input_ids is not None else inputs_embeds
        assert given is not None
        lengths.append(given.shape[1])
        return original(input_ids=input_ids, inputs_embeds=inputs_embeds, **rest)

    monkeypatch.setattr(generator.network, "forward", counted)
    options = replace(WAYS[way], guidance=2.0)
    generator.sample(torch.tensor([[1], [2]]), 2, options)
    assert lengths == [1] + [1 + generator.length] * generator.passes(options)
