"""For every test: no event loop stands around that nobody closes.

pytest-asyncio 1.x asks for the main thread's loop, and Python 3.11 makes one where none was set.
"""

import asyncio

asyncio.set_event_loop(None)
