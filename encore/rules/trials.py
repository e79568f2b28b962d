"""Trials: how long one runs. The provider has no status for it, so it follows from the days of a subscription."""

DAY_MS = 86_400_000


def trial_end(begun_at: int, days: int) -> int:
    """Return when a trial of so many days ends, in epoch milliseconds; the first full payment is due then."""
    return begun_at + days * DAY_MS


def is_in_trial(*, begun_at: int | None, days: int, next_billing_at: int | None, now: int) -> bool:
    """Tell whether a subscription is in its trial.

    It lasts for the trial's days from the day the subscription began, and a change of plan that ends it moves the next
    payment beyond them. Times are epoch milliseconds.
    """
    if begun_at is None or next_billing_at is None:
        return False
    ends_at = trial_end(begun_at, days)
    return now < ends_at and next_billing_at < ends_at + DAY_MS
