"""What the scripts share: runs the tests of the one that is running, and counts them as tests/run reads it."""

import sys
import time
import unittest

# Nothing takes so long by far, and a run that hangs does.
PATIENCE = 60


def eventually(what, look):
    """Looks until there is something to see, and returns it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if seen := look():
            return seen
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def run():
    """Returns the exit code. A script without tests fails: it would pass whatever is broken."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len({test for test, _ in result.failures + result.errors})
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    # Nothing is skipped silently.
    return 0 if result.testsRun and not failed and not result.skipped else 1
