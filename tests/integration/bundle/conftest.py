"""An exchange whose stories are proved, and a timestamp authority."""

from tests.integration.evidence.test_witnesses import authority
from tests.kit.fixtures import exchange

__all__ = ["authority", "exchange"]
