#!/usr/bin/env bash
# LFQ's entropy of the codes is not that of all processes' tokens where several train together.
#
# Versions: vector-quantize-pytorch 1.32.0, torch 2.14.1.
# Expected: the mean probabilities of the codes are averaged over the processes, so each process has the entropy
#   of the joined batch.
# Happens: the result of the all-reduce is dropped, since torch.distributed.nn.all_reduce returns a new tensor.
#   The process's own mean is then divided by the number of processes: it sums to 1/2 with two of them, and the
#   processes differ.
# Output seen (two gloo processes, one of them with other tokens than the other):
#   joined batch: 2.2298
#   process 0: 1.7329, own tokens alone 2.7726
#   process 1: 0.6931, own tokens alone 0.6931
# Why it matters: the term that keeps all codes in use is wrong in value and gradient, without a word, whenever
#   training has more than one process.
# Exits with 0 while this holds, with another status when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 vector-quantize-pytorch==1.32.0
cat > "$folder/check.py" <<'PY'
import os
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from vector_quantize_pytorch import LFQ


def tokens() -> torch.Tensor:
    """The first half uses all 16 codes, the second half two of them."""
    signs = torch.tensor([[1.0 if number >> bit & 1 else -1.0 for bit in range(4)] for number in range(16)])
    return torch.stack([signs, signs[:2].repeat(8, 1)])


def entropy(batch: torch.Tensor) -> float:
    _, parts = LFQ(dim=4, codebook_size=16).train()(batch, return_loss_breakdown=True)
    return parts.batch_entropy.item()


def process(rank: int, folder: str) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", f"file://{folder}/meeting", world_size=2, rank=rank)
    torch.save(entropy(tokens()[rank : rank + 1]), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    folder = sys.argv[1]
    mp.spawn(process, args=(folder,), nprocs=2)
    joined = entropy(tokens())
    print(f"joined batch: {joined:.4f}")
    found = [torch.load(f"{folder}/{rank}.pt") for rank in range(2)]
    for rank in range(2):
        alone = entropy(tokens()[rank : rank + 1])
        print(f"process {rank}: {found[rank]:.4f}, own tokens alone {alone:.4f}")
        # p/2 in the place of p: half of the own entropy, plus half of log 2.
        halved = alone / 2 + torch.tensor(2.0).log().item() / 2
        assert abs(found[rank] - halved) < 1e-2, "the mean is no longer the own one over the processes"
        assert abs(found[rank] - joined) > 0.1, "the entropy is that of the joined batch"
PY
"$folder/venv/bin/python" "$folder/check.py" "$folder"
