"""CelebAMask-HQ: the parts of a face, and the table of its split."""

from pathlib import Path

import pytest

from regvq.errors import RegvqError
from tests.support.miniatures import MINIATURES


def test_a_face_may_lack_any_part_but_not_all(tmp_path: Path) -> None:
    miniature = MINIATURES["celeba-mask-hq"]
    miniature.write(tmp_path)
    masks = tmp_path / "CelebAMask-HQ" / "CelebAMask-HQ-mask-anno" / "0"
    (masks / "00000_skin.png").unlink()
    labels = miniature.data(tmp_path).train(seed=0)[0]["label_map"]
    assert {int(label) for label in labels.unique()} <= {0, 4, 5}
    (masks / "00000_l_eye.png").unlink()
    with pytest.raises(RegvqError, match=r"the masks of 1 of 2 faces are missing, first \S+/00000_\*.png"):
        miniature.data(tmp_path).train(seed=0)
