"""What the server counted, held to what its clients were told."""
import collections
import os
import re
import urllib.request

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "metrics.md")
_SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


class Shown:
    """The samples of one scrape."""

    def __init__(self, text):
        self._samples = collections.defaultdict(list)
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = _SAMPLE.fullmatch(line).groups()
                self._samples[name].append((dict(_LABEL.findall(labels or "")), float(value)))

    def has(self, name):
        return name in self._samples or f"{name}_count" in self._samples

    def of(self, name, **labels):
        """The sum of the samples that have these labels."""
        return sum(value for own, value in self._samples[name] if labels.items() <= own.items())

    def labels(self, name, label):
        return sorted({own[label] for own, _ in self._samples[name] if label in own})


def scrape(port):
    # Straight, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        return Shown(response.read().decode())


def compare(shown, tally):
    """Holds what is `shown` to what clients were told, when all sessions are deleted and nothing is under way. Returns what it
    found, line by line; None if a gauge has not come down yet. Raises AssertionError with all that does not fit."""
    with open(TABLE, encoding="utf-8") as file:
        names = re.findall(r"^\| `([a-z_]+)` \|", file.read(), re.MULTILINE)
    wrong, found = [], []

    def between(what, low, actual, high):
        found.append(f"{what}: {actual:.0f}" + (f", clients say {low}" if low == high else f", clients say {low} to {high}"))
        if not low <= actual <= high:
            wrong.append(found[-1])

    told, refused, lost = (lambda *labels, name=name: tally.of(name, *labels) for name in ("told", "refused", "lost"))
    durable = tally.of("sessions", "durable")
    everything = told() + refused() + lost() + tally.of("ended")

    def commands(name):
        for rpc in sorted({*tally.labels("told", 1), *tally.labels("refused", 1)}):
            least = told(None, rpc) + refused(None, rpc)
            between(f"{name} of {rpc}", least, shown.of(name, rpc=rpc), least + lost(None, rpc) + tally.of("ended", None, rpc))
        # A step that was lost may have given anything.
        for result in "yielded", "returned", "raised":
            between(f"{name} that {result}", told(None, None, result), shown.of(name, result=result),
                    told(None, None, result) + lost())

    def refusals(name, at=None, **labels):
        for reason in sorted({*tally.labels("refused", 2), *shown.labels(name, "reason")}):
            least = refused(at, None, reason)
            if at and reason in strangers:
                least = 0
            # A call that was lost may have been refused, too, or given up by the server.
            between(f"{name} {' '.join(labels.values())} {reason}", least, shown.of(name, reason=reason, **labels),
                    least + lost(at) + tally.of("ended", at))

    def command_seconds(name):
        for rpc in sorted(set(tally.labels("told", 1))):
            least = told(None, rpc)
            between(f"{name} of {rpc}", least, shown.of(f"{name}_count", rpc=rpc),
                    least + refused(None, rpc) + lost(None, rpc) + tally.of("ended", None, rpc))

    # Of whom nobody knows the namespace, or who was turned away before it mattered.
    strangers = {"CREDENTIALS_MISSING", "CREDENTIALS_INVALID", "ROLE_INSUFFICIENT"}

    def by_namespace(check):
        def checks(name):
            for namespace in tally.labels("told", 0):
                check(name, namespace)
        return checks

    def namespace_commands(name, namespace):
        least = told(namespace) + refused(namespace) - sum(refused(namespace, None, reason) for reason in strangers)
        between(f"{name} {namespace}", least, shown.of(name, namespace=namespace),
                least + lost(namespace) + tally.of("ended", namespace))

    def journal_appends(name):
        # Whole lives may be one append, and what the server does by itself is appended, too.
        between(name, 1, shown.of(f"{name}_count"), 4 * everything)

    def batch_appends(name):
        appends = int(shown.of("corod_journal_append_seconds_count"))
        between(f"{name}, all together", appends, shown.of(f"{name}_sum"), appends)

    def at_least(low):
        return lambda name: between(name, low, shown.of(name), float("inf"))

    def gauge_is(value, **labels):
        return lambda name: between(name, value, shown.of(name, **labels), value)

    checks = {
        "corod_commands_total": commands,
        "corod_refusals_total": refusals,
        "corod_command_seconds": command_seconds,
        "corod_sessions": gauge_is(0),
        "corod_frames": gauge_is(0),
        "corod_frame_bytes": gauge_is(0),
        "corod_lua_bytes": at_least(0),
        "corod_queue_depth": gauge_is(0),
        "corod_streams": gauge_is(0),
        "corod_journal_append_seconds": journal_appends,
        "corod_journal_batch_appends": batch_appends,
        "corod_journal_syncs_total": at_least(1),
        # A session's id alone is longer than that.
        "corod_journal_written_bytes_total": at_least(8 * durable),
        "corod_journal_bytes": at_least(1),
        "corod_replays_total": at_least(1),
        "corod_replayed_steps_total": at_least(1),
        "corod_replay_seconds": lambda name: between(name, shown.of("corod_replays_total"), shown.of(f"{name}_count"),
                                                     shown.of("corod_replays_total")),
        "corod_namespace_sessions": gauge_is(0),
        "corod_namespace_memory_bytes": gauge_is(0),
        "corod_namespace_commands_total": by_namespace(namespace_commands),
        "corod_namespace_refusals_total": by_namespace(lambda name, namespace: refusals(name, namespace, namespace=namespace)),
        "corod_credential_reloads_total": gauge_is(0, result="failed"),
        "corod_certificate_expiry_timestamp_seconds": None,  # there is no certificate
        "corod_draining": gauge_is(0),
        "corod_build_info": gauge_is(1),
        "process_resident_memory_bytes": at_least(1),
        "process_cpu_seconds_total": at_least(1),
        "process_open_fds": at_least(1),
        "process_start_time_seconds": at_least(1),
    }
    if set(names) != set(checks):
        wrong.append(f"docs/metrics.md and what is compared differ in {sorted(set(names) ^ set(checks))}")
    for name, check in checks.items():
        if check is None:
            continue
        if shown.has(name):
            check(name)
        else:
            wrong.append(f"{name} is not shown")
    gauges = "corod_sessions", "corod_queue_depth", "corod_streams", "corod_frames", "corod_namespace_"
    if wrong and all(line.startswith(gauges) for line in wrong):
        return None
    if wrong:
        raise AssertionError("\n".join(wrong))
    return found
