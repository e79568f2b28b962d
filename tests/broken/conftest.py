"""The sandbox and the installation of the services' tests."""

from tests.services.conftest import installation, running_sandbox, sandbox

__all__ = ["installation", "running_sandbox", "sandbox"]
