"""A running exchange for the promises of operators' interventions."""

from tests.kit.fixtures import exchange as exchange
