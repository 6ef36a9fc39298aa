"""Ratios of paired rounds, with the interval that holds the true one in 95 of 100 cases."""

import math
from dataclasses import dataclass

# Two-sided 95 % quantiles of Student's t for 1 to 40 degrees of freedom.
T95 = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    2.040, 2.037, 2.035, 2.032, 2.030, 2.028, 2.026, 2.024, 2.023, 2.021,
]


@dataclass
class Ratio:
    """A ratio and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self):
        """How far the interval reaches above the ratio, relative to it."""
        return self.high / self.mean - 1


def ratio(ours, theirs):
    """The geometric mean of `ours[i] / theirs[i]`: rounds are paired, so what slowed both cancels.

    >>> ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    Ratio(mean=2.0, low=2.0, high=2.0)
    >>> one = ratio([1.0, 4.0], [1.0, 1.0])   # logs 0 and 2 ln 2: deviation sqrt(2) ln 2, reach 12.706 ln 2
    >>> round(one.mean, 6), round(math.log2(one.high), 3), round(math.log2(one.low), 3)
    (2.0, 13.706, -11.706)
    >>> ratio([3.0], [2.0]).high
    inf
    """
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    count = len(logs)
    mean = sum(logs) / count
    if count < 2:
        return Ratio(math.exp(mean), 0.0, math.inf)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in logs) / (count - 1))
    reach = T95[min(count - 1, len(T95)) - 1] * deviation / math.sqrt(count)
    return Ratio(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach))


def median(values):
    """The middle value.

    >>> median([3, 1, 2]), median([4, 1, 2, 3])
    (2, 2.5)
    """
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
