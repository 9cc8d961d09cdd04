"""Settings for the properties of this room."""

from hypothesis import settings

# How long one example takes says more about the machine's other work than about the code; pytest's own timeout holds.
settings.register_profile("lienthong", deadline=None)
settings.load_profile("lienthong")
