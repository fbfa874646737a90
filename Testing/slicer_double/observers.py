"""How many observers a VTK object has: VTK tells it only in what it prints of an object."""

import re


def count_observers(obj, event=None):
    """The observers of `obj`: of the event of that name ("ModifiedEvent"), or all of them."""
    found = re.findall(r"EventName: (\w+)", str(obj))
    return len(found) if event is None else found.count(event)
