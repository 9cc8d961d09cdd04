"""A running exchange for the promises of acceptance."""

from tests.kit.fixtures import exchange as exchange
