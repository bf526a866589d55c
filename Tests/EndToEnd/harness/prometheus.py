"""Prometheus' text format 0.0.4, read strictly: https://prometheus.io/docs/instrumenting/exposition_formats."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
_VALUE = r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? ({_VALUE})")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}

Labels = frozenset[tuple[str, str]]


class Malformed(Exception):
    """The text is not in the format, or says something that cannot be."""


@dataclass
class Family:
    name: str
    help: str
    kind: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


class Metrics(dict[str, Family]):
    """The metrics of one scrape by their names."""

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 where there is none, as a counter that has no labels yet."""
        family = next(each for each in self.values() if name in (each.name, *_names(each)))
        return family.samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str) -> float:
        """The sum of all samples, whatever their labels."""
        return sum(self[name].samples.values()) if name in self else 0.0

    def series(self) -> set[tuple[str, Labels]]:
        return {key for family in self.values() for key in family.samples}


def _names(family: Family) -> list[str]:
    return [family.name + suffix for suffix in _SUFFIXES.get(family.kind, ("",))]


def parse(text: str) -> Metrics:
    if not text.endswith("\n"):
        raise Malformed("the last line does not end")
    metrics = Metrics()
    lines = text[:-1].split("\n")
    family: Family | None = None
    while lines:
        line = lines.pop(0)
        if line.startswith("#"):
            family = _begin(line, lines.pop(0) if lines else "")
            if family.name in metrics:
                raise Malformed(f"{family.name} is there twice")
            metrics[family.name] = family
            continue
        if family is None:
            raise Malformed(f"a sample before any metric: {line!r}")
        name, labels, value = _sample(line)
        if name not in _names(family):
            raise Malformed(f"{line!r} does not belong to {family.name}")
        if (name, labels) in family.samples:
            raise Malformed(f"{line!r} is there twice")
        family.samples[name, labels] = value
    for family in metrics.values():
        _check(family)
    return metrics


def _begin(help_line: str, type_line: str) -> Family:
    help_text = re.fullmatch(rf"# HELP ({_NAME}) ((?:[^\\\n]|\\[\\n])+)", help_line)
    kind = re.fullmatch(rf"# TYPE ({_NAME}) (counter|gauge|histogram|summary)", type_line)
    if help_text is None or kind is None or help_text[1] != kind[1]:
        raise Malformed(f"not HELP and TYPE of one metric: {help_line!r}, {type_line!r}")
    return Family(help_text[1], help_text[2], kind[2])


def _sample(line: str) -> tuple[str, Labels, float]:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        raise Malformed(f"not a sample: {line!r}")
    pairs = re.findall(r'([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"', found[2] or "")
    if len({name for name, _ in pairs}) != len(pairs):
        raise Malformed(f"a label is there twice: {line!r}")
    return found[1], frozenset(pairs), float(found[3].replace("Inf", "inf"))


def _check(family: Family) -> None:
    if not family.samples:
        raise Malformed(f"{family.name} has no sample")
    if family.kind == "counter" and not family.name.endswith("_total"):
        raise Malformed(f"the counter {family.name} does not end in _total")
    for (name, labels), value in family.samples.items():
        if family.kind != "gauge" and (value < 0 or math.isnan(value)):
            raise Malformed(f"{name}{dict(labels)} is {value}")
    if family.kind == "histogram":
        for labels in {labels - {pair for pair in labels if pair[0] == "le"} for _, labels in family.samples}:
            _check_histogram(family, labels)


def _check_histogram(family: Family, labels: Labels) -> None:
    buckets = sorted(
        (float(dict(found)["le"].replace("Inf", "inf")), value)
        for (name, found), value in family.samples.items()
        if name.endswith("_bucket") and labels == frozenset(pair for pair in found if pair[0] != "le")
    )
    counts = [value for _, value in buckets]
    if not buckets or buckets[-1][0] != math.inf or counts != sorted(counts):
        raise Malformed(f"{family.name}{dict(labels)}: buckets {buckets}")
    if family.samples.get((family.name + "_count", labels)) != counts[-1]:
        raise Malformed(f"{family.name}{dict(labels)}: the last bucket is not the count")
    if (family.name + "_sum", labels) not in family.samples:
        raise Malformed(f"{family.name}{dict(labels)} has no sum")
