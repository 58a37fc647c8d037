"""CamVid in the form that SegNet's tutorial gave it."""

from regvq.data.annotated import Record, Split
from regvq.data.layouts.base import LayoutData

CAMVID_LABELS = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "unlabelled",
)


class CamVidData(LayoutData):
    """367 training and 101 validation frames of driving videos with label maps of eleven kinds of things.

    Brostow, Fauqueur and Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009;
    Badrinarayanan, Kendall and Cipolla, "SegNet", 2017.
    """

    title = "CamVid"
    folder = "CamVid"
    tree = """\
CamVid/
  train/0001TP_006690.png ...       (or .jpg)
  trainannot/0001TP_006690.png ...
  val/0016E5_07959.png ...
  valannot/0016E5_07959.png ..."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Of the eleven kinds and of what is unlabelled."""
        return CAMVID_LABELS

    def records(self, split: Split) -> list[Record]:
        """Frames with their label maps."""
        return self.with_maps(self.base / split, self.base / f"{split}annot")
