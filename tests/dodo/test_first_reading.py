"""The first answers a process reads may come to several threads at once: that must not end the process."""

import subprocess
import sys

from tests.sandbox_process import ROOT

# Each child is a process that has read nothing yet; one in seven died before the types were read at import.
_CHILDREN = 40
_PROGRAM = """
import os, sys, threading
import msgspec
from encore.dodo import models

structs = [m for m in vars(models).values() if isinstance(m, type) and issubclass(m, msgspec.Struct)]

def read(barrier):
    barrier.wait()
    for struct in structs:
        try:
            msgspec.convert({name: {} for name in struct.__struct_fields__}, struct)
        except msgspec.ValidationError:
            pass

for _ in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        sys.setswitchinterval(1e-6)
        barrier = threading.Barrier(8)
        threads = [threading.Thread(target=read, args=(barrier,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "a reader ended its process"
"""


def test_threads_that_read_the_first_answers_at_once_do_not_end_the_process() -> None:
    command = [sys.executable, "-c", _PROGRAM, str(_CHILDREN)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
