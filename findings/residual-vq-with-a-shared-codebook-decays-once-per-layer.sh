#!/usr/bin/env bash
# ResidualVQ(shared_codebook=True) decays its EMA counts and sums once for each layer of a step.
#
# Versions: vector-quantize-pytorch 1.32.0, torch 2.14.1.
# Expected: one training step decays by `decay` once, as a codebook of its own does: all layers' tokens are one
#   batch for the one codebook. A code without tokens keeps 0.9 of its count at decay 0.9.
# Happens: every layer updates the shared counts and sums in turn. With four layers the code keeps 0.9^4 = 0.656.
# Output seen:
#   layers 1: an unused code keeps 0.9000 of its count
#   layers 2: an unused code keeps 0.8100 of its count
#   layers 4: an unused code keeps 0.6561 of its count
# Why it matters: the memory of the EMA shrinks with the number of layers, and the last layer's tokens weigh more
#   than the first one's. A decay that was chosen for one layer is too small for several.
# Exits with 0 while this holds, with another status when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 vector-quantize-pytorch==1.32.0
cat > "$folder/check.py" <<'PY'
import torch
from vector_quantize_pytorch import ResidualVQ

DECAY, UNUSED = 0.9, 7


def kept(layers: int) -> float:
    torch.manual_seed(0)
    model = ResidualVQ(
        dim=4, num_quantizers=layers, codebook_size=8, decay=DECAY, shared_codebook=True, kmeans_init=False
    ).train()
    codebook = model.layers[0]._codebook
    codebook.embed[0, UNUSED] = 1e6  # the nearest of no token
    before = codebook.cluster_size[0, UNUSED].item()
    model(torch.randn(2, 16, 4))
    return codebook.cluster_size[0, UNUSED].item() / before


for layers in (1, 2, 4):
    share = kept(layers)
    print(f"layers {layers}: an unused code keeps {share:.4f} of its count")
    assert abs(share - DECAY**layers) < 1e-4, "it no longer decays once for each layer"
PY
"$folder/venv/bin/python" "$folder/check.py"
