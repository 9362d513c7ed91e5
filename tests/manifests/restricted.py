"""The Pod Security Standard `restricted`, as a cluster enforces it, and what we ask for beyond it.

By the text of the standard: everything that `baseline` and `restricted` name for Linux.
"""

from __future__ import annotations

from collections.abc import Iterator

from checks import Context, check
from model import Document, Manifests

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


@check
def the_namespace_enforces_restricted(manifests: Manifests, context: Context) -> Iterator[str]:
    namespaces = manifests.of("Namespace")
    if not namespaces:
        yield "there is no Namespace, so nothing enforces `restricted`"
    for namespace in namespaces:
        labels = namespace["metadata"].get("labels", {})
        for mode in ("enforce", "audit", "warn"):
            if labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                yield f"Namespace {namespace['metadata']['name']}: does not {mode} `restricted`"


@check
def pods_are_restricted(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.pods():
        for flaw in flaws(pod.spec):
            yield f"{pod.name}: {flaw}"


def flaws(spec: Document) -> Iterator[str]:
    for host in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(host):
            yield f"{host} is set"
    if spec.get("hostUsers"):
        yield "hostUsers is set"
    for volume in spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"the volume {volume['name']} is of the kind {kind}"
    pod = spec.get("securityContext", {})
    for sysctl in pod.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sets the sysctl {sysctl['name']}"
    if not pod.get("fsGroup"):
        yield "has no fsGroup, so that it cannot read its secrets, or everyone can"
    yield from context_flaws("the pod", pod)
    for container in [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]:
        own = container.get("securityContext", {})
        both = {**pod, **own}
        name = container["name"]
        yield from context_flaws(name, own)
        if both.get("runAsNonRoot") is not True:
            yield f"{name} may run as root"
        if not both.get("runAsUser"):
            yield f"{name} has no user of its own"
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name} has no seccomp profile"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write into its image"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{name} keeps capabilities"
        for added in set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name} has the capability {added}"
        for port in container.get("ports", []):
            if port.get("hostPort"):
                yield f"{name} takes the port {port['hostPort']} of its host"
        hooks = container.get("lifecycle", {})
        asked = [container.get(probe, {}) for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
        for action in [*asked, *hooks.values()]:
            for kind in ("httpGet", "tcpSocket"):
                if action.get(kind, {}).get("host"):
                    yield f"{name} has its probes sent to {action[kind]['host']}"
        for kind in ("requests", "limits"):
            for resource in {"cpu", "memory"} - container.get("resources", {}).get(kind, {}).keys():
                yield f"{name} has no {kind} of {resource}"


def context_flaws(whose: str, context: Document) -> Iterator[str]:
    if context.get("privileged"):
        yield f"{whose} is privileged"
    if context.get("runAsUser") == 0:
        yield f"{whose} runs as root"
    if context.get("runAsNonRoot") is False:
        yield f"{whose} may run as root"
    if context.get("procMount") not in (None, "Default"):
        yield f"{whose} sees all of /proc"
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield f"{whose} is not confined by AppArmor"
    if context.get("seccompProfile", {}).get("type") == "Unconfined":
        yield f"{whose} is not confined by seccomp"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{whose} is a process of the host"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type") not in SELINUX or selinux.get("user") or selinux.get("role"):
        yield f"{whose} chooses its SELinux context"
