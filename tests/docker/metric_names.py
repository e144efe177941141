"""The metrics that the server shows, as metric_names.txt lists them."""
import os
import re
from dataclasses import dataclass

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "metric_names.txt")
TYPES = ("counter", "gauge", "histogram")


@dataclass(frozen=True)
class Metric:
    """One line. `labels` maps each label to the values that it may have, None for any."""
    name: str
    type: str
    labels: dict

    def samples(self):
        """The names under which it is shown, each with its labels."""
        if self.type != "histogram":
            return {self.name: self.labels}
        return {f"{self.name}_bucket": {**self.labels, "le": None}, f"{self.name}_sum": self.labels,
                f"{self.name}_count": self.labels}


def read(path=FILE):
    """Every metric by its name. Raises ValueError with the line that is not one."""
    metrics = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words, hash_sign, what = line.partition("#")
            if not words.strip():
                continue
            name, *rest = words.split()
            if not rest or rest[0] not in TYPES or not hash_sign or not what.strip() or name in metrics:
                raise ValueError(f"{path}:{number}: {line!r} is not NAME TYPE [LABEL[=VALUE|...]...]  # WHAT")
            labels = {}
            for label in rest[1:]:
                label, equals, values = label.partition("=")
                if not re.fullmatch("[a-z_]+", label) or (equals and not values):
                    raise ValueError(f"{path}:{number}: {label!r} is not a label")
                labels[label] = tuple(values.split("|")) if equals else None
            metrics[name] = Metric(name, rest[0], labels)
    return metrics


def samples(metrics):
    """Every name under which one of `metrics` is shown, with its labels."""
    return {name: labels for metric in metrics.values() for name, labels in metric.samples().items()}
