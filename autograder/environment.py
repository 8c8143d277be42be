"""What students' code can see of the Python that runs it."""

import platform
from collections.abc import Mapping
from importlib.metadata import distributions

_MOST_NAMED = 3


def seen() -> dict[str, str]:
    """Name all that is installed here: "Python" and each distribution -> its version, torch's build with it."""
    installed = {one.name.lower().replace("_", "-"): one.version for one in distributions() if one.name}
    return {
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **dict(sorted(installed.items())),
    }


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say in a clause what has changed between two environments; "" where nothing has."""
    said = []
    for name in sorted({*before, *now}):
        if name not in before:
            said.append(f"{name} {now[name]} is new")
        elif name not in now:
            said.append(f"{name} is gone")
        elif before[name] != now[name]:
            said.append(f"{name} is {now[name]} and was {before[name]}")
    more = [f"{len(said) - _MOST_NAMED} more"] if len(said) > _MOST_NAMED else []
    return ", ".join(said[:_MOST_NAMED] + more)
