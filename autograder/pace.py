"""How long a student's code may take: many times what the reference solution took, never more than course.toml allows.

Code that computes without end is known by its CPU time, and code that waits for what never comes by its taking none.
Neither is changed much by a machine that is busy with other things, as wall time is. So what is stopped hangs, rather
than being slow, and need not be tried again with more time.
"""

import math
from dataclasses import dataclass

from autograder.course import Limits


@dataclass(frozen=True)
class Took:
    """What the probes of one project took of the reference solution, in seconds."""

    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class Pace:
    """What one run of probes may take, in whole seconds.

    Attributes:
        cpu_s: of computing.
        idle_s: of doing nothing, without a break.
        wall_s: from its start to its end.
    """

    cpu_s: int
    idle_s: int
    wall_s: int


def unknown(limits: Limits) -> Pace:
    """The pace where nothing is known of the reference: the course's limits."""
    return Pace(limits.cpu_s, limits.wall_s, limits.wall_s)


def first(took: Took, limits: Limits) -> Pace:
    """The pace of a project's probes together."""
    return _pace(limits, 10, 20 * took.cpu_s, 10, 60, 100 * took.wall_s)


def later(took: Took, limits: Limits) -> Pace:
    """The pace of a single probe, once another run of the same project was stopped for its time."""
    return _pace(limits, 5, 5 * took.cpu_s, 5, 20, 30 * took.wall_s)


def _pace(limits: Limits, least_cpu: int, cpu: float, idle: int, least_wall: int, wall: float) -> Pace:
    wall_s = min(limits.wall_s, math.ceil(max(least_wall, wall)))
    return Pace(min(limits.cpu_s, math.ceil(max(least_cpu, cpu))), min(idle, wall_s), wall_s)
