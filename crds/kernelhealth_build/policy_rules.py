"""What the API server demands of a KernelHealthPolicy."""

from __future__ import annotations

from datetime import timedelta

from kernelhealth_api.schema import Schema
from kernelhealth_build import grammar, handing_rules, ladder_rules
from kernelhealth_build.catalogue import Catalogue, action
from kernelhealth_build.validations import Validation, at, instead_of, limit_strings, require

_WEEK = timedelta(days=7)
_NOTHING = timedelta(0)
_AUTO = (
    "(self.mode == 'Auto' || "
    "(has(self.rules) && self.rules.exists(r, has(r.mode) && r.mode == 'Auto')))"
)
_FINDINGS = (
    "((has(self.reasons) && size(self.reasons) > 0) || (has(self.causes) && size(self.causes) > 0))"
)
_WORD = grammar.matches("^[A-Z][A-Za-z0-9]*$")


def constrain(spec: Schema, catalogue: Catalogue) -> None:
    """Put every demand on the schema of the policy's spec."""
    limit_strings(spec, 253)
    at(spec, "pauseRequests[]").update(minLength=1, maxLength=1024)
    # A set, so that several people can each apply and take back a line of their own.
    at(spec, "pauseRequests")["x-kubernetes-list-type"] = "set"
    _selector(spec)
    _matches(spec)
    _ladder(spec, catalogue)
    _disruption(spec)
    _windows(spec)
    _times(spec)
    for detector in catalogue.detectors:
        durations(at(spec, f"detectors.{detector.key}"))


def durations(schema: Schema) -> None:
    """Demand of every duration among a detector's parameters that it is one, of a week at most."""
    for name, field in schema.get("properties", {}).items():
        if "ms|s|m|h" in field.get("pattern", ""):
            _duration(schema, name, _NOTHING, _WEEK)


def _duration(schema: Schema, path: str, least: timedelta, most: timedelta) -> None:
    instead_of(schema, path, "pattern")
    require(schema, path, *grammar.lasting(path.rpartition(".")[2], least, most))


def _selector(spec: Schema) -> None:
    wrong = "must have the form of a label: letters, digits, -, _ and ., at most 63 of them"
    labels = at(spec, "nodeSelector.matchLabels")
    labels["maxProperties"] = 32
    labels["additionalProperties"].update(
        maxLength=63, description="The value that the label must have."
    )
    keys = f"self.all(k, {grammar.matches(grammar.LABEL_KEY, 'k')})"
    values = f"self.all(k, {grammar.matches(grammar.LABEL_VALUE, 'self[k]')})"
    require(
        spec,
        "nodeSelector.matchLabels",
        Validation(keys, f"matchLabels: each key {wrong}"),
        Validation(values, f"matchLabels: values {wrong}"),
    )
    _expression(at(spec, "nodeSelector.matchExpressions[]"), wrong)


def _expression(schema: Schema, wrong: str) -> None:
    key, value = grammar.matches(grammar.LABEL_KEY), grammar.matches(grammar.LABEL_VALUE)
    require(schema, "key", Validation(key, f"key {wrong}"))
    at(schema, "values[]")["maxLength"] = 63
    require(schema, "values[]", Validation(value, f"values {wrong}"))
    require(
        schema,
        "",
        Validation(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "values: operator In and NotIn need at least one, Exists and DoesNotExist take none",
            ".values",
        ),
    )


def _matches(spec: Schema) -> None:
    instead_of(spec, "rules[].name", "pattern")
    require(
        spec,
        "rules[].name",
        Validation(
            grammar.matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
            "name must be of lower case letters, digits and hyphens, such as leaking-node",
        ),
    )
    require(
        spec,
        "rules[].match",
        Validation(
            f"{_FINDINGS} || has(self.uptime)",
            "match must name at least one reason or cause, such as "
            "reasons: [NetworkNamespaceLeaked], or an uptime",
        ),
        Validation(
            f"!({_FINDINGS} && has(self.uptime))",
            "match must name either an uptime or reasons and causes: "
            "a node is rebooted for its age whether it has findings or not",
        ),
    )
    for part, example in (("reasons", "NetworkNamespaceLeaked"), ("causes", "GssProxyPin")):
        at(spec, f"rules[].match.{part}")["x-kubernetes-list-type"] = "set"
        at(spec, f"rules[].match.{part}[]")["maxLength"] = 63
        message = f"{part}: each must be one word in CamelCase, such as {example}"
        require(spec, f"rules[].match.{part}[]", Validation(_WORD, message))


def _ladder(spec: Schema, catalogue: Catalogue) -> None:
    names = [action(remediation) for remediation in catalogue.remediations]
    require(spec, "rules[].actions[]", ladder_rules.exactly_one(names))
    require(
        spec,
        "rules[].actions",
        *ladder_rules.once(names),
        *ladder_rules.shut_first(names),
    )
    for remediation in catalogue.remediations:
        durations(at(spec, f"rules[].actions[].{action(remediation)}"))
    if "replace" in names:
        require(spec, "rules[].actions[].replace", *handing_rules.asked_for())


def _disruption(spec: Schema) -> None:
    for name in ("maxUnavailable", "minHealthy", "maxUnavailablePerZone"):
        instead_of(spec, f"disruption.{name}", "pattern", "minimum")
        at(spec, f"disruption.{name}")["maxLength"] = 16
        require(spec, f"disruption.{name}", grammar.count_or_share(name))
    most, least = "self.disruption.maxUnavailable", "self.disruption.minHealthy"
    zone = "self.disruption.maxUnavailablePerZone"
    require(
        spec,
        "",
        Validation(
            f"!{_AUTO} || (type({most}) == int ? {most} != 0 : !{most}.matches('^0+%?$'))",
            "maxUnavailable of 0 lets nothing be done in mode Auto: "
            "allow at least 1 node, or set the mode to Observe or Propose",
            ".disruption.maxUnavailable",
        ),
        Validation(
            f"!{_AUTO} || type({least}) == int || {least} != '100%'",
            "minHealthy of 100% lets nothing be done in mode Auto: "
            "lower it, or set the mode to Observe or Propose",
            ".disruption.minHealthy",
        ),
        Validation(
            f"!{_AUTO} || !has({zone}) || "
            f"(type({zone}) == int ? {zone} != 0 : !{zone}.matches('^0+%?$'))",
            "maxUnavailablePerZone of 0 lets nothing be done in mode Auto: "
            "allow at least 1 node, or set the mode to Observe or Propose",
            ".disruption.maxUnavailablePerZone",
        ),
    )
    _duration(spec, "disruption.stormCooldownDuration", timedelta(seconds=1), timedelta(days=1))


def _windows(spec: Schema) -> None:
    instead_of(spec, "maintenanceWindows[].schedule", "pattern")
    require(spec, "maintenanceWindows[].schedule", *grammar.schedule("schedule"))
    require(
        spec,
        "maintenanceWindows[].timeZone",
        Validation(
            grammar.matches("^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"),
            "timeZone must be a name of the IANA database, such as UTC or Europe/Berlin",
        ),
    )


def _times(spec: Schema) -> None:
    second = timedelta(seconds=1)
    _duration(spec, "rules[].for", _NOTHING, _WEEK)
    _duration(spec, "rules[].match.uptime", timedelta(hours=1), timedelta(days=3650))
    _duration(spec, "maintenanceWindows[].duration", second, _WEEK)
    _duration(spec, "recovery.healthyDelay", second, _WEEK)
    _duration(spec, "recovery.coolDown", _NOTHING, timedelta(days=30))
