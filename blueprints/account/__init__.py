"""What belongs to this browser: its orders, and signing out."""

from .routes import bp

__all__ = ["bp"]
