#!/usr/bin/env python3
"""The compose stack from nothing to an upgrade under load, against the engine that `docker` speaks to.

Run by `tests/compose stack`, which brings the images, the engine and the packages.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import backup
import readme
import rotation
from documented import Shell, blocks
from lint import MOST_CORES
from rotation import load_on
from stack import REPLICAS, ROOT, SERVICES, Failed, Stack, counted
from watching import prometheus_finds_every_process_and_its_rules

# Of a thousand calls during an upgrade less than one may fail.
MOST_FAILURES = 0.001
# So many that one failure is not yet too many.
CALLS_PER_UPGRADE = 3000
# After a replica was killed its clients have noticed.
SECONDS_TO_NOTICE = 5


def secrets_are_made_once(stack):
    stack.run("deploy/compose/init")
    before = {file.name: file.read_bytes() for file in stack.secrets.iterdir()}
    (stack.secrets / "pepper").unlink()
    stack.run("deploy/compose/init")
    after = {file.name: file.read_bytes() for file in stack.secrets.iterdir()}
    assert before.keys() == after.keys(), after.keys()
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["pepper"], changed
    for file in stack.secrets.iterdir():
        assert file.stat().st_mode & 0o137 == 0, f"{file.name} has the mode {file.stat().st_mode:o}"
    return f"{len(before)} files"


def others_who_could_read_the_secrets_are_named(stack):
    """By what the system says of the groups; the one that is asked here has others in every group."""
    folder = stack.folder / "groups"
    folder.mkdir()
    (folder / "getent").write_text(
        "#!/bin/sh\n"
        "case $1:$2 in\n"
        "    group:*) echo \"shared:x:$2:root,alice,$(id -un)\" ;;\n"
        "    passwd:) printf 'carol:x:7:%s::/:/bin/sh\\n' 65532 \"$(id -g)\" ;;\n"
        "esac\n"
    )
    (folder / "getent").chmod(0o755)
    said = stack.run("bash", "-c", f"PATH={folder}:$PATH deploy/compose/init 2>&1")
    assert "can read the secrets: alice carol\n" in said, said
    return "alice and carol"


def a_missing_secret_is_named(stack):
    hidden = stack.folder / "hidden"
    (stack.secrets / "signing-key.pem").rename(hidden)
    try:
        stack.up()
    except Failed as failure:
        assert "signing-key.pem" in str(failure), failure
    else:
        raise AssertionError("it starts without a signing key")
    finally:
        stack.down()
        made_by_the_engine = stack.secrets / "signing-key.pem"
        if made_by_the_engine.is_dir():
            made_by_the_engine.rmdir()
        hidden.rename(made_by_the_engine)


def up_waits_until_all_is_ready(stack):
    begin = time.monotonic()
    stack.up()
    seconds = time.monotonic() - begin
    for service in ("postgres", *SERVICES):
        assert stack.health(service) == "healthy", f"{service} is {stack.health(service)}"
    for service in ("roles", "auth-migrate", "users-migrate"):
        state = stack.container(service)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), f"{service}: {state}"
    return f"exit code 0 after {seconds:.0f} s"


def up_again_changes_nothing(stack):
    before = [stack.container_id(service) for service in ("postgres", *SERVICES)]
    stack.up()
    assert before == [stack.container_id(service) for service in ("postgres", *SERVICES)]


def containers_may_do_no_more_than_they_must(stack):
    for service in (*SERVICES, "auth-migrate", "users-migrate", "postgres"):
        container = stack.container(service)
        host, user = container["HostConfig"], container["Config"]["User"]
        assert user == ("999:999" if service == "postgres" else "65532:65532"), f"{service} runs as {user}"
        assert host["ReadonlyRootfs"], f"{service} may write to its root"
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"], f"{service} keeps capabilities"
        assert "no-new-privileges:true" in host["SecurityOpt"], f"{service} may get privileges"
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values():
            for binding in bindings or []:
                assert binding["HostIp"] == "127.0.0.1", f"{service} is published at {binding}"
    for service in SERVICES:
        pid = stack.container(service)["State"]["Pid"]
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            return "as the engine says; its processes cannot be seen from here"
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert fields["Uid"].split() == ["65532"] * 4, fields["Uid"]
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, fields["CapEff"]
        assert fields["NoNewPrivs"] == "1"
        assert fields["Name"] == service, fields["Name"]
    return "as the engine and the kernel say"


def there_is_no_shell(stack):
    for service in SERVICES:
        for shell in ("/bin/sh", "/bin/bash", "/bin/busybox", "/usr/bin/sh"):
            try:
                stack.compose("exec", "-T", service, shell, "-c", "exit 0")
            except Failed as failure:
                assert "no such file" in str(failure), failure
            else:
                raise AssertionError(f"{service} has {shell}")


def services_do_not_own_their_tables(stack):
    for service, table in (("auth", "accounts"), ("users", "users")):
        database, secret = f"tandem_{service}", f"{service}-database-url"
        assert stack.sql(database, secret, "select current_user").strip() == database
        for forbidden, answer in (
            ("create table mine (x int)", "permission denied"),
            ("create role mine", "permission denied"),
            (f"drop table {table}", "must be owner"),
        ):
            try:
                stack.sql(database, secret, forbidden)
            except Failed as failure:
                assert answer in str(failure), failure
            else:
                raise AssertionError(f"{database} may {forbidden}")
    try:
        stack.sql("tandem_users", "auth-database-url", "select 1")
    except Failed as failure:
        assert "permission denied for database" in str(failure), failure
    else:
        raise AssertionError("auth-service's role gets into the database of users-service")


def the_super_admin_is_made_by_one_command(stack):
    shown = stack.on_terminal("run", "--rm", "users-service", "bootstrap-super-admin", "--username", "superadmin")
    # Compose writes to the terminal as well, and not only whole lines.
    passwords = re.findall(r"password: (\S+)", shown)
    assert len(passwords) == 1, shown
    stack.super_admin_password = passwords[0]
    try:
        stack.on_terminal("run", "--rm", "users-service", "bootstrap-super-admin", "--username", "another")
    except Failed as failure:
        assert "force" in str(failure), failure
    else:
        raise AssertionError("there is a second super admin")


def the_calls_of_the_readme_work(stack):
    with tempfile.TemporaryDirectory() as folder:
        count = readme.follow(stack, stack.super_admin_password, Path(folder))
    assert count > 20, count
    return f"{count} commands"


def health_follows_the_database(stack):
    stack.compose("stop", "postgres")
    for service in SERVICES:
        wait_for(lambda: stack.health(service) == "unhealthy", 90, f"{service} does not say that its database is away")
    stack.compose("start", "postgres")
    for service in SERVICES:
        wait_for(lambda: stack.health(service) == "healthy", 90, f"{service} does not recover")


def a_second_replica_of_each_is_called_as_well(stack):
    stack.profiles = ["replicas"]
    stack.up()
    with load_on(stack) as load:
        load.go_on(400)
    assert not load.failures, load.failures
    # users-service asks every replica of auth-service.
    asked = [
        counted(stack.metrics(address), "grpc_server_handled_total", grpc_method="Authenticate", grpc_code="OK")
        for address in (stack.auth_ops, stack.auth_2_ops)
    ]
    assert min(asked) > 0.2 * sum(asked), f"calls of Authenticate: {asked}"
    return f"{load.made()} calls, none failed; Authenticate {asked[0]:.0f} and {asked[1]:.0f}"


def a_killed_replica_costs_no_more_than_the_calls_that_it_had(stack):
    told = []
    for service in ("auth-service-2", "users-service-2"):
        with load_on(stack) as load:
            load.go_on(500)
            killed = time.monotonic()
            kill(stack, service)
            load.go_on(1500)
        for failure in load.failures:
            assert failure.code == "UNAVAILABLE", failure
            assert killed - 1 < failure.begin < killed + SECONDS_TO_NOTICE, (killed, failure)
        wait_for(lambda: stack.health(service) == "healthy", 60, f"{service} does not come back")
        told.append(f"{service}: {len(load.failures)} of {load.made()} calls failed{load.what_failed()}")
    return "; ".join(told)


def seen_from_here(container):
    """Its process, if the number that the engine gives is one here too: where the engine has processes of its own, the same
    number is another process. A container's file says its name, which is its id; who is not root cannot read it."""
    pid = container["State"]["Pid"]
    try:
        name = Path(f"/proc/{pid}/root/etc/hostname").read_text().strip()
    except OSError:
        return None
    return pid if name == container["Config"]["Hostname"] else None


def kill(stack, service):
    """As a crash would, so that the engine starts it again. Who is not root, or does not see the process, has to ask the
    engine, which then does not."""
    pid = seen_from_here(stack.container(service))
    if os.geteuid() == 0 and pid:
        os.kill(pid, signal.SIGKILL)
    else:
        stack.compose("kill", "--signal", "KILL", service)
        stack.up()


def an_upgrade_in_turn_is_not_noticed(stack):
    # The next version: the same program under another image, so that every container is replaced by a new one.
    for service in SERVICES:
        new_image(stack, service)
    before = {service: stack.container(service) for service in REPLICAS}
    stack.environment["TANDEM_VERSION"] = "next"
    _, upgrade = blocks("Two replicas")
    version = "TANDEM_VERSION=1.2.3"
    assert version in upgrade, upgrade
    with load_on(stack) as load:
        load.go_on(300)
        Shell(stack).run(upgrade.replace(version, "TANDEM_VERSION=next"))
        load.go_on(max(0, CALLS_PER_UPGRADE - load.made()))
    for service in REPLICAS:
        container = stack.container(service)
        assert container["Id"] != before[service]["Id"], f"{service} was not replaced"
        assert container["Image"] != before[service]["Image"], f"{service} has the old image"
        assert stack.health(service) == "healthy"
    share = len(load.failures) / load.made()
    assert share < MOST_FAILURES, f"{len(load.failures)} of {load.made()} calls failed: {load.failures[:5]}"
    return f"{len(load.failures)} of {load.made()} calls failed{load.what_failed()}"


def new_image(stack, service):
    text = f"FROM tandem/{service}:{os.environ['TANDEM_VERSION']}\nLABEL org.opencontainers.image.version=next\n"
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--tag", f"tandem/{service}:next", "-"],
        input=text,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def a_new_password_of_a_role_needs_no_more_than_up(stack):
    """As docs/containers.md has it."""
    secret = stack.secrets / "auth-database-url"
    old = secret.read_text()
    secret.write_text(old.replace(":" + old.split(":")[2].split("@")[0] + "@", ":" + "0123456789abcdef" * 4 + "@"))
    assert secret.read_text() != old
    stack.up("--force-recreate")
    assert stack.sql("tandem_auth", "auth-database-url", "select current_user").strip() == "tandem_auth"
    with load_on(stack) as load:
        load.go_on(100)
    assert not load.failures, load.failures


def a_process_of_64_cores_has_room_for_its_threads(stack):
    """That many threads that serve and that hash, whatever this machine has."""
    cores = stack.folder / "cores.yaml"
    environment = "TOKIO_WORKER_THREADS: '64', AUTH__PASSWORD__MAX_PARALLEL_HASHES: '64'"
    cores.write_text(
        f"services: {{auth-service: {{environment: {{{environment}}}}},"
        " users-service: {environment: {TOKIO_WORKER_THREADS: '64'}}}\n"
    )
    stack.files.append(str(cores))
    try:
        stack.up("--no-deps", *SERVICES)
        with load_on(stack) as load:
            load.go_on(200)
            threads = [threads_of(stack, service) for service in SERVICES]
    finally:
        stack.files.remove(str(cores))
        stack.up("--no-deps", *SERVICES)
    assert threads[0] > 128 and threads[1] > 64, threads
    for service, count in zip(SERVICES, threads):
        limit = stack.container(service)["HostConfig"]["PidsLimit"]
        # What there is beside those two, for as many of them as lint.py counts with.
        assert count + 2 * (MOST_CORES - 64) <= limit, f"{service}: {count} threads, and the limit {limit}"
    assert not load.failures, load.what_failed()
    return f"auth-service {threads[0]} threads, users-service {threads[1]}"


def threads_of(stack, service):
    return int(stack.run("docker", "stats", "--no-stream", "--format", "{{.PIDs}}", stack.container_id(service)))


def nothing_is_left(stack):
    stack.down()
    for service in SERVICES:
        stack.run("docker", "image", "rm", f"tandem/{service}:next")
    ours = ["--quiet", "--filter", f"label=com.docker.compose.project={stack.project}"]
    for kind in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        assert stack.run("docker", *kind, *ours) == "", kind


STEPS = [
    secrets_are_made_once,
    others_who_could_read_the_secrets_are_named,
    a_missing_secret_is_named,
    up_waits_until_all_is_ready,
    up_again_changes_nothing,
    containers_may_do_no_more_than_they_must,
    there_is_no_shell,
    services_do_not_own_their_tables,
    the_super_admin_is_made_by_one_command,
    the_calls_of_the_readme_work,
    health_follows_the_database,
    a_second_replica_of_each_is_called_as_well,
    a_killed_replica_costs_no_more_than_the_calls_that_it_had,
    an_upgrade_in_turn_is_not_noticed,
    a_new_password_of_a_role_needs_no_more_than_up,
    prometheus_finds_every_process_and_its_rules,
    a_process_of_64_cores_has_room_for_its_threads,
    *rotation.STEPS,
    *backup.STEPS,
    nothing_is_left,
]


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}, after {seconds} s")
        time.sleep(0.2)


def make_stubs(folder):
    files = sorted((ROOT / "proto").rglob("*.proto"))
    outputs = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}", *outputs, *files], check=True
    )
    sys.path.insert(0, str(folder))


def main():
    folder = Path(tempfile.mkdtemp())
    stack = Stack(folder)
    is_down = False
    try:
        (folder / "stubs").mkdir()
        make_stubs(folder / "stubs")
        for step in STEPS:
            name = step.__name__.replace("_", " ")
            begin = time.monotonic()
            try:
                told = step(stack)
            except (AssertionError, Failed, subprocess.CalledProcessError) as failure:
                print(f"FAILED  {name}\n{failure}\n{logs_of(stack)}", flush=True)
                return 1
            print(f"ok  {name} ({time.monotonic() - begin:.0f} s){': ' + told if told else ''}", flush=True)
        is_down = True
        return 0
    finally:
        if not is_down:
            stack.down()
        shutil.rmtree(folder)


def logs_of(stack):
    try:
        return stack.compose("logs", "--no-color", "--tail", "20")
    except Failed as failure:
        return str(failure)


if __name__ == "__main__":
    sys.exit(main())
