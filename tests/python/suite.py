"""Runs the tests of the script that is running, and counts them as tests/run reads it."""

import sys
import unittest


def run():
    """Returns the exit code. A script without tests fails: it would pass whatever is broken."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len({test for test, _ in result.failures + result.errors})
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    # Nothing is skipped silently.
    return 0 if result.testsRun and not failed and not result.skipped else 1
