"""Merchant pages: so far only the messages that a shop on the sandbox sent."""

from .routes import bp

__all__ = ["bp"]
