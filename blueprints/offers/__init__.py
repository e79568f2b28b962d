"""One offer instance: shown, accepted, declined, sent to the checkout, or left."""

from .routes import bp

__all__ = ["bp"]
