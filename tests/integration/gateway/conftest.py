"""A running gateway and an exchange behind it, for the tests of this room."""

from tests.kit.fixtures import exchange
from tests.kit.gateway import gateway
from tests.kit.s3 import s3

__all__ = ["exchange", "gateway", "s3"]
