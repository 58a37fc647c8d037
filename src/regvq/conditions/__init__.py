"""What an image is generated from, as token ids."""

from regvq.conditions.base import NULL, Condition
from regvq.conditions.caption import Caption
from regvq.conditions.class_label import ClassLabel
from regvq.conditions.label_map import LabelMap
from regvq.conditions.none import NoCondition

__all__ = ["NULL", "Caption", "ClassLabel", "Condition", "LabelMap", "NoCondition"]
