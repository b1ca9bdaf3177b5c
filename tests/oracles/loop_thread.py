"""An async server in a thread of its own, for tests that are not async."""

import asyncio
import threading
from contextlib import contextmanager


@contextmanager
def loop_thread(context):
    """Enter an async context manager on another thread's loop; leave it at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        entered = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(60)
        try:
            yield entered
        finally:
            leaving = context.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(leaving, loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
