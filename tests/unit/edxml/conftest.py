"""Settings for the properties of this room."""

from hypothesis import HealthCheck, Phase, settings

# How long one example takes says more about the machine's other work than about the code; pytest's own timeout holds.
# A message has a hundred fields: to explain a failure field by field would take longer than to read it.
settings.register_profile(
    "edxml",
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("edxml")
