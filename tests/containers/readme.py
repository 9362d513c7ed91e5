"""Follows README.md as tests/readme/run does, with the compose stack in place of `cargo run`."""

import importlib.machinery
import importlib.util
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]


def load_runner():
    loader = importlib.machinery.SourceFileLoader("readme_runner", str(ROOT / "tests/readme/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


runner = load_runner()


class StackReader(runner.Reader):
    """A reader whose services are in containers. `stack` has their addresses as attributes, and `restart`."""

    def __init__(self, stack, password, folder):
        super().__init__(SimpleNamespace(check_caller="false"), folder)
        self.stack, self.password = stack, password
        self.tandem = stack
        self.started = False

    def restart(self):
        """`cargo run` for the first time: it runs, and has its super admin. Later on it is started again."""
        if self.started:
            self.stack.restart()
        self.started = True
        self.tandem.welcome = [f"  password  {self.password}\n"]
        # The credential that the README makes for one more service; the stack has one service, with this credential.
        data = self.folder / "tandem-data"
        data.mkdir(exist_ok=True)
        for token in data.glob("*-token"):
            shutil.copy(self.stack.workload_token, token)

    def on_written_ports(self, text):
        # Who comes by a published port comes from the bridge.
        return re.sub(rf'"peerAddress": "({self.stack.gateways})"', '"peerAddress": "127.0.0.1"', super().on_written_ports(text))

    def stop(self):
        """Not the reader's to stop."""


def follow(stack, password, folder):
    """Makes every call of the README; returns how many blocks were run. Raises where reality differs."""
    reader = StackReader(stack, password, folder)
    count = 0
    for block in runner.blocks_of((ROOT / "README.md").read_text()):
        # How the Rust example is built is no matter of the stack.
        if not block.is_run or "--package check-caller" in block.text:
            continue
        if block.starts_tandem:
            # What it prints at its start is not what the stack prints.
            block.prints = ""
        try:
            runner.check_command(block, reader)
        except runner.Differs as difference:
            raise AssertionError(f"README.md, line {block.line}: {difference}") from difference
        count += 1
    return count
