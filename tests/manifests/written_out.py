"""Secrets are given as files: that none is written out in a variable, a file of settings or anywhere else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from checks import Context, check
from model import Manifests, strings

# A password in a URL, before its `@` or behind its `?`, and what a key begins with.
SECRET_TEXT = re.compile(r"://[^\s/@:]*:[^\s@]+@|[?&][^=&\s]*password=[^&\s]|-----BEGIN [A-Z ]*PRIVATE KEY")


@check
def no_secret_is_written_out(manifests: Manifests, context: Context) -> Iterator[str]:
    """In no variable, no file of settings and no other string of any document."""
    for document in manifests.documents:
        if any(SECRET_TEXT.search(text) for text in strings(document)):
            yield f"{document['kind']} {document['metadata']['name']}: has a password or a private key in it"
    for pod in manifests.pods():
        for container in pod.containers:
            for variable in container.get("env", []):
                name, value = variable["name"], variable.get("value", "")
                if value and is_secret(name, value, context.documented.secret_settings):
                    yield f"{pod.name}: {name} has its value written out; give it as a file"
    for config_map in manifests.of("ConfigMap"):
        for file, text in config_map.get("data", {}).items():
            keys = context.documented.secret_settings.get(file.removesuffix(".toml"))
            if keys is None:
                continue
            for key, value in settings_in(tomllib.loads(text)):
                if key in keys and (not key.endswith("url") or SECRET_TEXT.search(str(value))):
                    yield f"ConfigMap {config_map['metadata']['name']}: {key} has its value written out; give it as a file"


def is_secret(name: str, value: str, settings: dict[str, set[str]]) -> bool:
    service, _, rest = name.partition("__")
    keys = settings.get(f"{service.lower()}-service")
    if keys is None:
        # Of programs that are not ours.
        return any(word in name for word in ("PASSWORD", "TOKEN", "SECRET")) and not name.endswith("_FILE")
    key = ".".join(part.lower() for part in rest.split("__") if not part.isdigit())
    # Where somebody is, without a password, is no secret.
    return key in keys and (not key.endswith("url") or bool(SECRET_TEXT.search(value)))


def settings_in(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from settings_in(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from settings_in(inner, path)
    else:
        yield path, value
