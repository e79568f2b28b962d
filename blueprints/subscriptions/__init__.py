"""A subscription's plan: the choice, the exact price of a change, and what came of it."""

from .routes import bp

__all__ = ["bp"]
