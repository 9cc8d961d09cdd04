"""A running exchange whose worker is a program of its own."""

from tests.kit.fixtures import exchange as exchange
