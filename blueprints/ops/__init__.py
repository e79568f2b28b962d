"""Operation: the two questions machines ask, and the commands people give."""

from .commands import install
from .routes import bp

install(bp)

__all__ = ["bp"]
