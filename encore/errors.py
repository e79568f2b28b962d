"""Errors named after business facts, each with the status it is answered with."""


class EncoreError(Exception):
    """Base of all our errors: `code` for programs, `status` for HTTP, `message` for people and logs."""

    code: str = "error"
    status: int = 500
    message: str = "Something went wrong."

    def __init__(self, message: str | None = None) -> None:
        if message is not None:
            self.message = message
        super().__init__(self.message)


class ProviderError(EncoreError):
    """A call to the provider that moves no money did not give what was asked for.

    Its `code`, `status` and `message` are facts about the provider, for logs and decisions. A buyer is never
    answered with them: an unhandled one is a 503 in our own words.
    """

    code = "provider_error"
    status = 503


class NotExecuted(ProviderError):
    """The provider refused in a well-formed answer: nothing was done, and asking again changes nothing."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class RateLimited(NotExecuted):
    """The provider's 429; `reset_at` (epoch milliseconds, or None) is when it takes calls again."""

    def __init__(self, code: str, message: str, *, reset_at: int | None) -> None:
        super().__init__(code, 429, message)
        self.reset_at = reset_at


class Unavailable(ProviderError):
    """The provider gave no usable answer: no connection, no time left, 5xx, or a body off its contract."""

    code = "provider_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The payment provider is not available ({reason}).")
        self.reason = reason


class BadSignature(EncoreError):
    """A webhook delivery that is not proven to be the provider's; `reason` is one word, for counting only."""

    code = "bad_signature"
    status = 401
    message = "The delivery could not be verified."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class UnreadableEvent(EncoreError):
    """A verified webhook whose body is not the envelope we know: kept as a dead letter, never guessed at."""

    code = "unreadable_event"
    status = 400
    message = "The event could not be read."
