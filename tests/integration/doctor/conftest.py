"""A running exchange for what the doctor looks at."""

from tests.kit.fixtures import exchange as exchange
