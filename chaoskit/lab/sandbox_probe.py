"""Whether the sandbox lab can run here: found out by making a tiny one."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from chaoskit.errors import ChaoskitError, LabError
from chaoskit.lab.sandbox_session import Session, program

__all__ = ["explain", "needs_user_namespace", "sandbox_available"]

_PACKAGES = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux", "unshare": "util-linux"}
_BASE = "/run"


@functools.cache
def sandbox_available() -> str | None:
    """None if the sandbox lab can run here as this user, else one sentence why not.

    It makes namespaces, a network device and an overlay, and takes them away; a tenth of a second
    the first time, nothing after that.
    """
    missing = [name for name in _PACKAGES if program(name) is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES[name] for name in missing}))
        return (
            f"{', '.join(missing)} not found: install {packages} (scripts/install-sandbox-tools "
            "does it on Debian and Ubuntu)"
        )
    try:
        _try_out(user_namespace=needs_user_namespace())
    except ChaoskitError as error:
        return explain(str(error).replace("\n", " "))
    return None


@functools.cache
def needs_user_namespace() -> bool:
    """Whether a user namespace is what gives this user the right to the other ones.

    Root does without, so that services can be run as different users; root in a container that
    was denied CAP_SYS_ADMIN is like any other user.
    """
    if os.geteuid() != 0:
        return True
    session = Session("probe", user_namespace=False)
    try:
        session.hello()
    except LabError:
        return True
    finally:
        session.close()
    return False


def _try_out(*, user_namespace: bool) -> None:
    session = Session("probe", user_namespace=user_namespace)
    try:
        session.hello()
        session.request("begin", {"base": _BASE})
        session.request("holders", {"nodes": {"probe": {}}})
        session.request("ip", {"stages": [{"probe": "link add ck0 type bridge\n"}]})
        session.request("root", {"node": "probe", "targets": [], "locked": user_namespace})
    finally:
        session.close()


def explain(error: str, settings: Path = Path("/proc/sys")) -> str:
    """One sentence for a person: why the kernel said no, and the ways out."""
    if os.geteuid() == 0:
        return (
            f"the kernel denies what a sandbox needs ({error}): run on the host itself, or in a "
            "container with --privileged"
        )
    for setting, denied, value in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "15000"),
    ):
        file = settings / setting.replace(".", "/")
        if file.exists() and file.read_text(encoding="ascii").strip() == denied:
            return (
                "unprivileged user namespaces are denied on this machine: allow them with "
                f"'sudo sysctl -w {setting}={value}', or run as root"
            )
    return (
        f"an ordinary user may not make a sandbox here ({error}): allow unprivileged user "
        "namespaces, or run as root"
    )
