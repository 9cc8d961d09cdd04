"""An exchange whose stories are proved."""

from tests.kit.fixtures import exchange

__all__ = ["exchange"]
