"""Instances as files that annotation tools and other trainers load: one module per format."""

from ggn.formats.labelled import Labelled
from ggn.formats.write import FORMATS, refuse_shared_files, write_format

__all__ = ["FORMATS", "Labelled", "refuse_shared_files", "write_format"]
