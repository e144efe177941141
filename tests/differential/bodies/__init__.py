"""The Python half of each pair of bodies; the .cc of the same name holds the other, in the same order.

A body is a generator function of a Trace. What it yields and returns, and what it logs, is all that is compared.
"""

from bodies import catching, cleanup, closing, delegating, driving, handling, stopping, values  # noqa: F401: they register
from bodies.common import BODIES
from bodies.matrix import MATRIX

__all__ = ["BODIES", "MATRIX"]
