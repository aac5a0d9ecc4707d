"""What lists and events change in what is held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_operator.cluster.envelope import Event, NarrowObject, Page
from kernelhealth_operator.cluster.holdings import Change, Holdings


def thing(name: str, version: str, uid: str = "") -> NarrowObject:
    metadata = {"name": name, "uid": uid or f"u-{name}", "resourceVersion": version}
    return NarrowObject.model_validate({"metadata": metadata})


def page(*objects: NarrowObject, **unreadable: str) -> Page[NarrowObject]:
    return Page(objects, unreadable, "9", "")


def event(kind: str, item: NarrowObject) -> Event[NarrowObject]:
    return Event(kind, item, item.metadata.name, item.metadata.resource_version)


def holdings() -> Holdings[NarrowObject, str]:
    return Holdings(lambda one: f"{one.metadata.name}@{one.metadata.resource_version}")


def listed(held: Holdings[NarrowObject, str], *pages: Page[NarrowObject]) -> list[str]:
    held.begin_list()
    changes = [change for one in pages for change in held.page(one)]
    return told([*changes, *held.end_list()])


def told(changes: list[Change[str]]) -> list[str]:
    return [f"{change.kind.value} {change.previous} {change.object}" for change in changes]


def test_a_second_list_tells_the_difference_only() -> None:
    held = holdings()
    listed(held, page(thing("same", "1"), thing("new", "1")), page(thing("gone", "1")))

    changes = listed(held, page(thing("same", "1")), page(thing("new", "2"), thing("more", "2")))

    assert changes == ["MODIFIED new@1 new@2", "ADDED None more@2", "DELETED gone@1 gone@1"]
    assert sorted(held.values()) == ["more@2", "new@2", "same@1"]


def test_a_list_that_was_begun_over_forgets_nothing_and_deletes_nothing_early() -> None:
    held = holdings()
    listed(held, page(thing("a", "1"), thing("b", "1")))
    held.begin_list()
    held.page(page(thing("a", "1")))

    changes = listed(held, page(thing("a", "1")), page(thing("b", "1")))

    assert changes == []
    assert len(held) == 2


def test_another_uid_under_the_same_name_is_another_object() -> None:
    held = holdings()
    listed(held, page(thing("a", "1", uid="old")))

    changes = held.event(event("MODIFIED", thing("a", "5", uid="new")))

    assert told(changes) == ["DELETED a@1 a@1", "ADDED None a@5"]


def test_a_repeated_event_changes_nothing() -> None:
    held = holdings()
    held.event(event("ADDED", thing("a", "1")))

    assert held.event(event("ADDED", thing("a", "1"))) == []
    assert held.event(event("DELETED", thing("never seen", "1"))) == []


def test_an_unreadable_object_keeps_its_last_good_value_and_is_named() -> None:
    held = holdings()
    listed(held, page(thing("a", "1")))

    changes = listed(held, page(a="spec.size: wrong"))
    named = dict(held.unreadable)
    again = held.event(event("MODIFIED", thing("a", "3")))

    assert (changes, named, held.unreadable) == ([], {"a": "spec.size: wrong"}, {})
    assert told(again) == ["MODIFIED a@1 a@3"]


def test_an_unreadable_object_that_is_deleted_is_gone() -> None:
    held = holdings()
    listed(held, page(thing("a", "1")))
    held.event(Event("MODIFIED", None, "a", "2", "spec.size: wrong"))

    changes = held.event(Event("DELETED", None, "a", "3", "spec.size: wrong"))

    assert told(changes) == ["DELETED a@1 a@1"]
    assert (list(held), held.unreadable) == ([], {})


@given(
    st.lists(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 3)), min_size=1, max_size=6)
)
def test_replaying_the_changes_gives_what_is_held(lists: list[dict[str, int]]) -> None:
    held, replayed = holdings(), dict[str, str]()
    for one in lists:
        held.begin_list()
        things = [thing(name, str(version)) for name, version in one.items()]
        for change in [*held.page(page(*things)), *held.end_list()]:
            assert replayed.get(change.key) == change.previous
            replayed[change.key] = change.object
            if change.kind.value == "DELETED":
                del replayed[change.key]

    assert replayed == {name: f"{name}@{version}" for name, version in lists[-1].items()}
    assert sorted(replayed.values()) == sorted(held.values())
