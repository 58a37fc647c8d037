#!/usr/bin/env bash
# The forward of DIVEQ and NSVQ is noisy in eval mode and goes on replacing codes there.
#
# Versions: diveq 0.1.3, nsvq 0.1.0, torch 2.14.1.
# Expected: after eval(), forward gives rows of the codebook, the same at each call, and changes nothing.
# Happens: forward does not look at the mode. Two calls differ, no value is a row of the codebook, and after
#   replacement_iters calls unused codes are replaced. Only the separate method inference() is hard.
# Output seen:
#   DIVEQ in eval: two calls equal False, rows of the codebook 0 of 64, codes replaced 16 of 32
#   DIVEQ inference: two calls equal True, rows of the codebook 64 of 64, codes replaced 0 of 32
#   NSVQ in eval: two calls equal False, rows of the codebook 0 of 64, codes replaced 16 of 32
#   NSVQ inference: two calls equal True, rows of the codebook 64 of 64, codes replaced 0 of 32
# Why it matters: validation through forward changes the model that is validated, and its images are not those
#   of the tokens.
# Exits with 0 while this holds, with another status when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy diveq==0.1.3 nsvq==0.1.0
cat > "$folder/check.py" <<'PY'
import torch
from diveq import DIVEQ
from nsvq import NSVQ


def facts(kind: type, hard: bool) -> tuple[bool, int, int]:
    torch.manual_seed(0)
    model = kind(32, 4, replacement_iters=60, verbose=False).eval()
    before = model.codebook.detach().clone()
    call = model.inference if hard else model
    z = 0.5 + torch.randn(64, 4)
    with torch.no_grad():
        first, second = call(z)[0], call(z)[0]
        rows = (first[:, None] == before[None]).all(2).any(1).sum()
        for _ in range(60):
            call(z)
    replaced = (model.codebook != before).any(1).sum()
    return torch.equal(first, second), int(rows), int(replaced)


for kind in (DIVEQ, NSVQ):
    for hard in (False, True):
        equal, rows, replaced = facts(kind, hard)
        name = f"{kind.__name__} {'inference' if hard else 'in eval'}"
        print(f"{name}: two calls equal {equal}, rows of the codebook {rows} of 64, codes replaced {replaced} of 32")
        assert equal == hard, "forward is no longer noisy in eval"
        assert rows == (64 if hard else 0)
        assert (replaced == 0) == hard, "forward no longer replaces codes in eval"
PY
"$folder/venv/bin/python" "$folder/check.py"
