"""An exchange for tests of content beside it."""

from tests.kit.fixtures import exchange

__all__ = ["exchange"]
