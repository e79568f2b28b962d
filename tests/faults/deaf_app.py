"""The application in a process that the kernel does not tell of its parent's end, as if the signal had been lost."""

import ctypes
import sys

from flask import Flask

import app

_PR_SET_PDEATHSIG = 1


def create_app() -> Flask:
    """Take back what the process asked for when it began, then build the application as ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)
    return app.create_app()
