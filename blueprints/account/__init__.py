"""What belongs to a buyer: signing in by link and out, the account's pages, and orders."""

from .recommendations import bp as recommendations_bp
from .routes import bp
from .sign_in import bp as sign_in_bp

__all__ = ["bp", "recommendations_bp", "sign_in_bp"]
