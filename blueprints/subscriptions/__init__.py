"""A subscription's plan: the choice, the exact price of a change, and what came of it."""

from .cards import bp as cards_bp
from .dues import bp as dues_bp
from .quotes import bp as quotes_bp
from .routes import bp

__all__ = ["bp", "cards_bp", "dues_bp", "quotes_bp"]
