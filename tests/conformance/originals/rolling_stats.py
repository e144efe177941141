import math
import statistics
from collections import deque


def rounded(compute, numbers):
    """What is too large for a float is infinite."""
    try:
        return compute(numbers)
    except OverflowError:
        return math.inf


def rolling_stats(window=0):
    numbers = deque(maxlen=window or None)
    result = None
    while True:
        x = yield result
        if not math.isfinite(x):
            raise ValueError(f"number must be finite, not {x}")
        numbers.append(float(x))
        several = len(numbers) > 1
        result = {
            "count": len(numbers),
            "mean": statistics.mean(numbers),
            "variance": rounded(statistics.variance, numbers) if several else None,
            "standard_deviation": rounded(statistics.stdev, numbers) if several else None,
            "min": min(numbers),
            "max": max(numbers),
        }
