"""Deliveries from the provider."""

from .routes import bp

__all__ = ["bp"]
