"""A running exchange for the promises of dispatch."""

from tests.kit.fixtures import exchange as exchange
