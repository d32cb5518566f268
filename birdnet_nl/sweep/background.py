"""Something done again and again while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(action: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call `action` in a thread of its own every so many seconds while the block runs, and once more when it ends."""
    over = threading.Event()

    def repeat() -> None:
        last = False
        while not last:
            last = over.wait(every_s)
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
