"""A running gateway and an exchange behind it, for the tests of this room."""

from tests.kit.fixtures import exchange
from tests.kit.gateway import gateway

__all__ = ["exchange", "gateway"]
