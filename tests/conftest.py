"""For every test: no event loop that nobody closes, and no property that depends on a clock."""

import asyncio

from hypothesis import HealthCheck, settings

# pytest-asyncio 1.x asks for the main thread's loop, and Python 3.11 makes one where none was set.
asyncio.set_event_loop(None)

# Machines are shared: an example that took long tells nothing. What fails is told so that
# it can be played again (print_blob), since every run draws other examples.
settings.register_profile(
    "shared machine",
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("shared machine")
