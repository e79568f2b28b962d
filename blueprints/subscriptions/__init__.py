"""A subscription's plan: the choice, the exact price of a change, and what came of it."""

from .quotes import bp as quotes_bp
from .routes import bp

__all__ = ["bp", "quotes_bp"]
