"""Steps of the stack's test: each secret is replaced under load by the commands of docs/containers.md, and no call fails."""

import json
import urllib.request

from documented import Shell, blocks
from stack import Failed

PASSWORD = "a long walk by the sea"
AUTH_SERVICES = ("auth-service", "auth-service-2")


def load_on(stack, name="load"):
    from load import Load  # The stubs are made by then.

    return Load([stack.auth, stack.auth_2], [stack.users, stack.users_2], f"{name}.one", f"{name}.two", PASSWORD)


def shell_in_the_folder(stack):
    shell = Shell(stack)
    [first] = blocks("Replacing secrets")
    shell.run(first)
    return shell


def told(load):
    assert not load.failures, f"{len(load.failures)} of {load.made()} calls failed{load.what_failed()}"
    return f"none of {load.made()} calls failed"


def the_signing_key_is_replaced_without_a_failed_call(stack):
    shell = shell_in_the_folder(stack)
    everybody_knows, everybody_signs, the_old_one_goes = blocks("The signing key")
    [old] = published(stack)
    with load_on(stack) as load:
        load.go_on(200)
        shell.run(everybody_knows)
        [first, new] = published(stack)
        assert first == old, (first, old)
        load.go_on(200)
        shell.run(everybody_signs)
        assert published(stack) == [new, old], published(stack)
        load.go_on(200)
    calls = [told(load)]
    # In place of half an hour: nobody has a token of the old key any more. These have of the new one.
    with load_on(stack) as load:
        load.go_on(100)
        shell.run(the_old_one_goes)
        load.go_on(200)
    assert published(stack) == [new], published(stack)
    calls.append(told(load))
    assert not (stack.secrets / "verification-key.pem").exists()
    return "; ".join(calls)


def published(stack):
    """The ids of the keys, of which every replica shows the same ones in the same order."""
    shown = []
    for address in (stack.auth_ops, stack.auth_2_ops):
        with urllib.request.urlopen(f"http://{address}/.well-known/jwks.json", timeout=5) as answer:
            shown.append([key["kid"] for key in json.load(answer)["keys"]])
    assert shown[0] == shown[1], shown
    return shown[0]


def the_pepper_is_replaced_without_a_failed_log_in(stack):
    shell = shell_in_the_folder(stack)
    everybody_knows, everybody_hashes, who_is_left, the_old_one_goes = blocks("The pepper")
    with load_on(stack) as load:
        load.go_on(100)
        shell.run(everybody_knows)
        before = int(shell.run(who_is_left))
        assert before > 1, before
        shell.run(everybody_hashes)
        load.go_on(200)
        # Who logs in all the time has a hash with the new one by now.
        after = int(shell.run(who_is_left))
        assert after == before - 1, (before, after)
    # The others would be shut out without the old one, so it stays here. That it can be taken out is seen by its id.
    with_both = (stack.secrets / "pepper").read_text()
    shell.run(the_old_one_goes)
    assert (stack.secrets / "pepper").read_text().startswith("2:") and "," not in (stack.secrets / "pepper").read_text()
    (stack.secrets / "pepper").write_text(with_both)
    shell.run('in_turn auth-service auth-service-2')
    return f"{told(load)}; {before} hashes of the old one, {after} when one of them had logged in"


def the_token_of_users_service_is_replaced_without_a_restart(stack):
    shell = shell_in_the_folder(stack)
    [replace] = blocks("The token of users-service")
    running = [stack.container_id(service) for service in AUTH_SERVICES]
    old = (stack.secrets / "workload-token").read_text().strip()
    with load_on(stack) as load:
        load.go_on(100)
        shell.run(replace)
        load.go_on(300)
    assert (stack.secrets / "workload-token").read_text().strip() not in ("", old)
    said = stack.compose("logs", "--no-color", "--since", "1m").count("read again, because its files changed")
    # Two processes of each service, and at least the last of three contents.
    assert said >= 4, said
    assert running == [stack.container_id(service) for service in AUTH_SERVICES]
    return f"{told(load)}; read again {said} times"


def the_password_of_a_database_is_replaced_without_a_failed_call(stack):
    shell = shell_in_the_folder(stack)
    of_a_service, of_the_superuser = blocks("The passwords of the database")
    with load_on(stack) as load:
        load.go_on(100)
        shell.run(of_a_service)
        load.go_on(300)
        # `roles` comes in with it, at the end of this.
        before = (stack.secrets / "postgres-password").read_text()
        shell.run(of_the_superuser)
        assert (stack.secrets / "postgres-password").read_text() != before
    assert stack.sql("tandem_auth", "auth-database-url", "select current_user").strip() == "tandem_auth_2"
    try:
        stack.sql("tandem_auth", "auth-database-url", "set role tandem_users")
    except Failed as failure:
        assert "permission denied" in str(failure), failure
    else:
        raise AssertionError("the second role has the rights of the other service")
    # What `up` does from here on takes the second role as it is.
    stack.up()
    return told(load)


STEPS = [
    the_signing_key_is_replaced_without_a_failed_call,
    the_pepper_is_replaced_without_a_failed_log_in,
    the_token_of_users_service_is_replaced_without_a_restart,
    the_password_of_a_database_is_replaced_without_a_failed_call,
]
