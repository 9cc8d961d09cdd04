"""A running exchange for the questions of auditors."""

from tests.kit.fixtures import exchange as exchange
