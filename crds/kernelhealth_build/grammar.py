r"""The small languages in the custom resources, as far as regular expressions see them.

All expressions are in RE2, which CEL's ``matches`` takes, and anchored, since ``matches`` finds
anywhere. Here they stand as they are; ``matches`` doubles the backslashes for CEL's own quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kernelhealth_api import duration
from kernelhealth_build.validations import Validation

# Digits are bounded so that no sum of parts overflows the 292 years of Go's time.Duration.
DURATION = r"^([0-9]{1,5}(\.[0-9]{1,3})?h|[0-9]{1,7}(\.[0-9]{1,3})?(ms|s|m))+$"
NODES = "^((100|[0-9]{1,2})%|[0-9]{1,5})$"
_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LABEL_KEY = f"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}$"
LABEL_VALUE = f"^({_NAME})?$"
FIVE_FIELDS = r"^\s*\S+(\s+\S+){4}\s*$"

_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_CRON = (
    ("minute", "0*[0-5]?[0-9]", "0 to 59"),
    ("hour", "0*([01]?[0-9]|2[0-3])", "0 to 23"),
    ("day of the month", "(0*([1-9]|[12][0-9]|3[01])|LW?)", "1 to 31, L or LW"),
    ("month", f"(0*([1-9]|1[0-2])|{_MONTHS})", "1 to 12 or JAN to DEC"),
    ("day of the week", f"(0*[0-7]L|(0*[0-7]|{_DAYS})(#0*[1-5])?)", "0 to 7 or SUN to SAT"),
)


def matches(pattern: str, value: str = "self") -> str:
    """Return the expression that *value* is of the form of *pattern*."""
    quoted = pattern.replace("\\", "\\\\")
    return f"{value}.matches('{quoted}')"


def lasting(field: str, least: timedelta, most: timedelta) -> tuple[Validation, ...]:
    """Return what is demanded of a duration called *field*."""
    low, high = duration.text(least), duration.text(most)
    form = matches(DURATION)
    return (
        Validation(form, f"{field} must be a duration such as 30s, 5m or 1h30m"),
        Validation(
            f"!{form} || "
            f"(duration(self) >= duration('{low}') && duration(self) <= duration('{high}'))",
            f"{field} must be at least {low} and at most {high}",
        ),
    )


def count_or_share(field: str) -> Validation:
    """Return what is demanded of a number of nodes or a percentage, an int-or-string."""
    return Validation(
        f"type(self) == int ? self >= 0 && self <= 99999 : {matches(NODES)}",
        f"{field} must be a number of nodes from 0 to 99999, or a share from 0% to 100%",
    )


def schedule(field: str) -> tuple[Validation, ...]:
    """Return what is demanded of a schedule called *field*: five fields, each within its range.

    That a range does not run backwards, and that the schedule ever comes, is for the operator.
    """
    five = matches(FIVE_FIELDS)
    form = Validation(
        five,
        f"{field} must have five fields, minute hour day-of-month month day-of-week, "
        'such as "0 2 * * 6"',
    )
    places = (
        Validation(
            f"!{five} || {matches(pattern)}",
            f"{field}: the {name} must be {words}, or *, a-b, a,b or */n of them",
        )
        for name, pattern, words in schedule_fields()
    )
    return form, *places


def schedule_fields() -> Iterator[tuple[str, str, str]]:
    """Yield each field of a schedule: its name, the form of a schedule where it is right, words."""
    for place, (name, item, words) in enumerate(_CRON):
        one = rf"(\*|{item}(-{item})?)(/0*[1-9][0-9]?)?"
        before, after = r"\S+\s+" * place, r"\s+\S+" * (4 - place)
        yield name, rf"(?i)^\s*{before}{one}(,{one})*{after}\s*$", words
