"""CelebAMask-HQ: the parts of a face, and the table of its split."""

from pathlib import Path

import pytest

from regvq.data.annotated import SPLITS
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


def test_a_mapping_that_was_cut_at_the_end_of_a_line_is_named(tmp_path: Path) -> None:
    miniature = MINIATURES["celeba-mask-hq"]
    path = miniature.write(tmp_path)[0]
    path.write_text("\n".join(path.read_text().splitlines()[:-2]))
    expected = rf"{path} does not name 2 of the 5 images in \S+, first 2003.jpg: it was cut short"
    for split in SPLITS:
        with pytest.raises(RegvqError, match=expected) as caught:
            miniature.data(tmp_path).records(split)
        assert miniature.kind.tree in str(caught.value)


@pytest.mark.parametrize("line", ["4 182637 18263", "4 182637 182638.j", "four 182637 182638.jpg", "4"])
def test_a_mapping_that_was_cut_within_a_line_is_named(line: str, tmp_path: Path) -> None:
    miniature = MINIATURES["celeba-mask-hq"]
    path = miniature.write(tmp_path)[0]
    path.write_text("\n".join([*path.read_text().splitlines()[:-1], line]))
    with pytest.raises(RegvqError, match=rf"{path} has a line that is not .*: '{line}'"):
        miniature.data(tmp_path).train(seed=0)


def test_faces_of_one_half_alone_are_told_with_the_table_and_the_tree(tmp_path: Path) -> None:
    miniature = MINIATURES["celeba-mask-hq"]
    path = miniature.write(tmp_path)[0]
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"{row.split()[0]} 0 000001.jpg" for row in rows)]))
    assert len(miniature.data(tmp_path).train(seed=0)) == 5
    with pytest.raises(RegvqError, match=f"{path} names no val image") as caught:
        miniature.data(tmp_path).val()
    assert miniature.kind.tree in str(caught.value)
