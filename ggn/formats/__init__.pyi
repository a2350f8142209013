from .labelled import Labelled as Labelled
from .write import FORMATS as FORMATS
from .write import refuse_shared_files as refuse_shared_files
from .write import write_format as write_format
