"""An exchange for tests of content beside it."""

from tests.kit.fixtures import exchange
from tests.kit.s3 import s3

__all__ = ["exchange", "s3"]
