"""Whether what a call costs grows with how much there is: `scripts/bench scale`, the engine alone, in memory."""

from benchmark import builds
from benchmark.report import Section, at_most

ENDPOINTS, BINDINGS = 100_000, 1_000_000


def section(build: str, rounds: int, endpoints: int, bindings: int, command: str) -> Section:
    found = builds.run(build, "scaled", rounds, endpoints, bindings)
    rows, goals = [], []
    texts = {
        "call": f"a lookup call: 1 and {endpoints:,} endpoints",
        "user": f"a message to a user: 1 and {bindings:,} bindings",
    }
    for name, text in texts.items():
        for how in ("", " by lot"):
            one, many = found[name + how]
            rows.append(
                [text + how.replace(" by lot", "; by lot"), f"{one:.1f}", f"{many:.1f}", f"{many / one - 1:+.1%}"]
            )
        one, many = found[name]
        goals.append(at_most(f"CPU of {text}, growth", (many / one - 1) * 100, 10.0, " %"))
    columns = ["what", "CPU µs with one", "with many", "growth"]
    return Section("scale", f"Cost and size ({build}, engine alone)", command, columns, rows, goals, found)
