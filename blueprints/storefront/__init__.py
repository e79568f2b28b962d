"""The shop: product list, product page, start of a checkout, and the pages every shop has."""

from .routes import bp

__all__ = ["bp"]
