"""The Python half of each pair of bodies; the .cc and the .lua of the same name hold the others, in the same order.

A body is a generator function of a Trace. What it yields and returns, and what it logs, is all that is compared.
"""

from bodies import blocks, catching, cleanup, closing, delegating, driving, handling, stopping, values  # noqa: F401: they register
from bodies.common import BODIES, ONLY_IN_LUA
from bodies.matrix import MATRIX

# What has no twin in Lua, and why.
NOT_IN_LUA = {
    # The exceptions of scripts have no notes.
    "notes",
    # Scripts have no generator objects, neither their own nor others.
    "drives_itself",
    "drives_itself_unguarded",
    "drives_itself_in_a_handler",
    "delegates_to_itself",
    "delegates_in_a_circle",
    "drives_another",
    "drives_another_in_a_handler",
    "closes_another_in_a_handler",
    "delegate_to_a_started_one",
    "delegate_to_a_finished_one",
    "delegate_to_a_shared_one",
    "delegate_twice_to_a_shared_one",
    "delegate_to_one_that_drives_its_delegator",
    "handling_and_delegating_to_a_shared_one",
    # They delegate to coroutines of the catalog alone.
    "delegate_to_a_list",
    "delegate_to_a_list_and_catch",
    "delegate_to_what_is_sent",
    "delegate_to_an_iterator",
    "delegate_to_an_iterator_and_catch",
    "handling_and_delegating_to_a_list",
}


def names(lua):
    """Of the pairs that the other language has."""
    return [name for name in BODIES if name not in (NOT_IN_LUA if lua else ONLY_IN_LUA)]


__all__ = ["BODIES", "MATRIX", "names"]
