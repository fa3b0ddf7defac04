"""The customers that the desk has in memory: those asked about last, and all of the batch that is being decided."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping

from services.routing.domain.story import Customer


class Recent(OrderedDict[str, Customer]):
    """By id. There may be more than ``size_max`` until the next :meth:`trim`. Belongs to one thread."""

    def __init__(self, size_max: int) -> None:
        super().__init__()
        self._size_max = size_max

    def recall(self, wanted: Collection[str], find: Callable[[Collection[str]], Mapping[str, Customer]]) -> None:
        """Have these at hand, as far as there is anything to be found; they stay longest."""
        missing = [customer for customer in wanted if customer not in self]
        for customer in wanted:
            if customer in self:
                self.move_to_end(customer)
        if missing:
            self.update(find(missing))

    def trim(self) -> None:
        """Let go of those asked about longest ago, until there are no more than may be."""
        while len(self) > self._size_max:
            self.popitem(last=False)
