#!/usr/bin/env bash
# VectorQuantize decides once per process, when the first one is built, whether it synchronizes.
#
# Versions: vector-quantize-pytorch 1.32.0, torch 2.14.1.
# Expected: a quantizer that trains in two processes sums its EMA counts over both, whenever it was built.
# Happens: the answer to "is there a process group?" is cached in the process. A quantizer that is built before the
#   group opens does not synchronize, nor does any that is built later. sync_codebook=True is no way out: it calls
#   collectives in a process alone, too, which then fails.
# Output seen (two gloo processes, other tokens in each):
#   built late: the codebooks of two processes are equal
#   built early: the codebooks of two processes differ
#   built late, after another one was built early: the codebooks of two processes differ
#   sync_codebook=True in a process alone: ValueError
# Why it matters: frameworks such as Lightning build the model before they open the process group. Each process
#   then trains a codebook of its own, without a word.
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
from vector_quantize_pytorch import VectorQuantize


def build(**options: bool) -> VectorQuantize:
    torch.manual_seed(0)
    return VectorQuantize(dim=4, codebook_size=8, **options).train()


def process(rank: int, folder: str, when: str) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    model = build() if when != "late" else None
    dist.init_process_group("gloo", f"file://{folder}/{when}", world_size=2, rank=rank)
    if when != "early":
        model = build()
    torch.manual_seed(10 + rank)
    model(torch.randn(2, 16, 4))
    torch.save(model.codebook.clone(), f"{folder}/{when}-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    folder = sys.argv[1]
    said = {
        "late": ("built late", True),
        "early": ("built early", False),
        "both": ("built late, after another one was built early", False),
    }
    for when, (words, expected) in said.items():
        mp.spawn(process, args=(folder, when), nprocs=2)
        first, second = (torch.load(f"{folder}/{when}-{rank}.pt") for rank in range(2))
        equal = torch.equal(first, second)
        print(f"{words}: the codebooks of two processes {'are equal' if equal else 'differ'}")
        assert equal == expected, "synchronization is decided otherwise"
    try:
        build(sync_codebook=True)(torch.randn(2, 16, 4))
    except (ValueError, RuntimeError) as error:
        print(f"sync_codebook=True in a process alone: {type(error).__name__}")
    else:
        raise AssertionError("sync_codebook=True calls no collective in a process alone")
PY
"$folder/venv/bin/python" "$folder/check.py" "$folder"
