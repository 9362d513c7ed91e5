"""The commands of docs/containers.md, run as they stand there."""

import re
import subprocess

from stack import ROOT, Failed

PAGE = ROOT / "docs/containers.md"


class Shell:
    """One bash after the other, each with the variables and functions that the one before left behind."""

    def __init__(self, stack):
        self.stack = stack
        self.state = stack.folder / "shell"
        self.state.write_text("")
        # What is elsewhere here: the project, its files, and where an operator would keep things.
        self.elsewhere = {
            "COMPOSE_FILE=docker-compose.yaml": f"COMPOSE_FILE=docker-compose.yaml:{stack.more}",
            "deploy/compose/secrets": str(stack.secrets),
            **{name: str(stack.folder / name) for name in ("auth.backup", "users.backup", "pepper.backup")},
        }
        self.environment = stack.environment | {
            "COMPOSE_PROJECT_NAME": stack.project,
            "COMPOSE_FILE": f"docker-compose.yaml:{stack.more}",
        }

    def run(self, block):
        """Returns what it prints; raises when one of its commands fails."""
        for ours, theirs in self.elsewhere.items():
            block = block.replace(ours, theirs)
        # Every variable is exported, so that it is among those that are kept.
        script = f"set -euo pipefail; set -a; source '{self.state}'\n{block}\n{{ export -p; declare -fp; }} >'{self.state}'\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=self.environment | {"TANDEM_VERSION": self.stack.environment["TANDEM_VERSION"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise Failed(f"{block}\nexits with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


def blocks(heading):
    """The commands below a heading, up to the next one; a heading without commands is an error."""
    section = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.M | re.S)
    found = re.findall(r"^```sh\n(.*?)^```$", section[1], re.M | re.S) if section else []
    if not found:
        raise Failed(f"{PAGE.name} has no commands below {heading!r}")
    return found
