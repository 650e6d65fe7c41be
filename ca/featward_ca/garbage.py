"""How often a process that serves thousands looks for cycles among its objects.

Python looks after every 700 that it has made and not given back, and now and then at all there are. A
stream is a hundred objects that stay, so that ten thousand clients which come at once make it look
at a million again and again; nearly nothing here lies in cycles, which is all that this finds.
"""

import gc

# Of the youngest: some megabytes of what may lie around until then.
_YOUNGEST = 20_000
_YOUNGER, _OLDEST = 50, 100


def collect_rarely() -> None:
    """Set it up for this process, when all modules that it needs have been imported."""
    gc.collect()
    # What is there by now stays for good.
    gc.freeze()
    gc.set_threshold(_YOUNGEST, _YOUNGER, _OLDEST)
