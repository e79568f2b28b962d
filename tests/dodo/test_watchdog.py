"""Every call to the provider ends in time, whatever the others do."""

import os
import threading

from encore.dodo.watchdog import Watchdog, watchdog

_LONG_S = 60.0
_PATIENCE_S = 10.0


def test_a_call_whose_time_is_over_is_cut() -> None:
    cut = threading.Event()
    Watchdog().limit(0.01, cut.set)
    assert cut.wait(_PATIENCE_S)


def test_a_call_that_has_ended_is_not_cut() -> None:
    dog, cut, later = Watchdog(), threading.Event(), threading.Event()
    dog.limit(0.01, cut.set).cancel()
    dog.limit(0.05, later.set)
    assert later.wait(_PATIENCE_S)
    assert not cut.is_set()


def test_a_short_limit_set_after_a_long_one_is_kept() -> None:
    dog, cut = Watchdog(), threading.Event()
    kept = dog.limit(_LONG_S, cut.clear)
    dog.limit(0.01, cut.set)
    assert cut.wait(_PATIENCE_S)
    kept.cancel()


def test_a_cut_that_fails_does_not_end_the_watch_over_the_others() -> None:
    dog, cut = Watchdog(), threading.Event()

    def fail() -> None:
        raise OSError("not a socket any more")

    dog.limit(0.01, fail)
    dog.limit(0.02, cut.set)
    assert cut.wait(_PATIENCE_S)


def test_a_hundred_calls_that_ended_leave_one_thread_and_no_limits() -> None:
    dog, cut = Watchdog(), threading.Event()
    before = threading.active_count()
    for _ in range(100):
        dog.limit(_LONG_S, cut.clear).cancel()
    dog.limit(0.01, cut.set)
    assert cut.wait(_PATIENCE_S)
    assert threading.active_count() <= before + 1
    dog.limit(0.01, cut.clear)
    assert len(dog._limits) <= 1


def test_a_forked_process_watches_its_own_calls() -> None:
    kept = watchdog.limit(_LONG_S, lambda: None)
    child = os.fork()
    if child == 0:
        cut = threading.Event()
        watchdog.limit(0.01, cut.set)
        os._exit(0 if cut.wait(_PATIENCE_S) else 1)
    kept.cancel()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
