"""Updates as practice saves them: readers of files, names mapped to a model's, checkpoints subtracted.

    update = fitted(read(path), model).update

A reader makes `Stored` of a file, without a model; `fitted` makes a `SharedUpdate` of that with one.
Nothing is ever unpickled but tensors.
"""

from textleak.updates.fitting import Fitted, between, fitted
from textleak.updates.readers import READERS, Reader, read
from textleak.updates.stored import Stored

__all__ = ["READERS", "Fitted", "Reader", "Stored", "between", "fitted", "read"]
