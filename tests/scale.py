"""How much the generated tests try: little in `make test`, much in `make prove`, which sets SCALE.

SCALE=1 are the figures of the long proofs, SCALE=5 five times as many. Nobody but this module reads the variable.
"""

import os

import pytest

SCALE = int(os.environ.get("SCALE") or "0")


def scaled(usual: int, *, proof: int) -> int:
    """Return how many to try: `usual` in `make test`, SCALE times `proof` in `make prove`."""
    return proof * SCALE if SCALE else usual


def rounds(usual: int, *, proof: int) -> range:
    """Return the numbers of the rounds of a test that plays one world a round; each is a seed."""
    return range(scaled(usual, proof=proof))


def proves(count: int, what: str) -> pytest.MarkDecorator:
    """Let `make prove` run a test, and print how many of what were tried by all that passed."""
    return pytest.mark.proof(count, what)
