import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep

import pytest

from encore.children import ChildEnded, Children

ROOT = Path(__file__).parent.parent
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    started = Children(env=os.environ, cwd=ROOT, log_dir=tmp_path, pause=lambda: sleep(0.01))
    yield started
    started.stop(is_urgent=lambda: True)


def wait_for(happened: Callable[[], bool], *, what: str) -> None:
    for _ in range(1000):
        if happened():
            return
        sleep(0.01)
    pytest.fail(f"never happened: {what}")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_task_hands_back_its_output(children: Children) -> None:
    task = children.start("task", [sys.executable, "-c", "print('done')"], is_task=True)

    assert children.finish(task) == "done\n"
    children.check()


def test_failed_task_is_named_with_its_last_words(children: Children) -> None:
    task = children.start("upgrade", [sys.executable, "-c", "raise SystemExit('no disk')"], is_task=True)

    with pytest.raises(ChildEnded, match=r"(?s)The upgrade stopped with status 1.*no disk"):
        children.finish(task)


def test_process_that_ends_is_noticed(children: Children) -> None:
    child = children.start("worker", SLEEPER)
    children.check()

    child.process.kill()
    child.process.wait()

    with pytest.raises(ChildEnded, match="The worker was ended by SIGKILL"):
        children.check()


def test_stop_ends_what_the_children_started(children: Children, tmp_path: Path) -> None:
    # The child ignores SIGTERM and has a child of its own.
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"print(subprocess.Popen({SLEEPER!r}).pid, flush=True); time.sleep(600)"
    )
    child = children.start("stubborn", [sys.executable, "-c", program])
    wait_for(lambda: "up" in child.output(), what="grandchild up")
    grandchild = int(child.output().split()[0])

    children.stop(is_urgent=lambda: True)

    assert child.process.returncode is not None
    wait_for(lambda: not is_running(grandchild), what="grandchild gone")


def test_last_wave_is_gone_before_the_first_is_asked(children: Children, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    told = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    time.sleep(float(sys.argv[2])); open({str(witness)!r}, 'a').write(sys.argv[1]); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    first = children.start("sandbox", [sys.executable, "-c", told, "sandbox ", "0"])
    children.next_wave()
    second = children.start("web", [sys.executable, "-c", told, "web ", "0.3"])
    wait_for(lambda: "up" in first.output() and "up" in second.output(), what="both up")

    children.stop(is_urgent=lambda: False)

    assert witness.read_text() == "web sandbox "


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_killed_parent_takes_its_children_along(tmp_path: Path) -> None:
    program = (
        "import os, time; from pathlib import Path; from encore.children import Children\n"
        "children = Children(env=os.environ, cwd=Path('.'), log_dir=Path(os.sys.argv[1]), pause=lambda: None)\n"
        f"print(children.start('web', {SLEEPER!r}).process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_for(lambda: is_running(child), what="child up")

        parent.send_signal(signal.SIGKILL)

        wait_for(lambda: not is_running(child), what="child gone")
