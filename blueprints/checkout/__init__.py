"""The return page: what became of a checkout, the offer that follows, and the thank-you page."""

from .routes import bp

__all__ = ["bp"]
