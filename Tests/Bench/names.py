"""Names: the broker as the workloads' resolver beside `dnsmasq` in its place, and what a pin costs when there are many.

The world's name server (dnsworld.c) gives every name an address of its own, and the name says its TTL; the client
(dnsload.c) is a process of a workload that asks an address in the world and is redirected. A new name costs egressd a pin
in the kernel and in its state before the answer goes out; dnsmasq has nothing like it. So the way there and back is
compared with names that are pinned and whose answers have a TTL of 0, which neither side caches; new names stand beside.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from typing import Any, Callable

from common import resident, table, verdict, wait_idle  # first: it knows the way to the lab
from families import IPV4
from lab import LabError
from resolvers import Place, Sample

WINDOW = 64
PASSING, LASTING = "t0.bench.example", "t7200.bench.example"  # a TTL of 0, and one of two hours
KNOWN = 1000  # names that are asked again and again
APART = 1_000_000  # between the numbers of one workload's names and those of the next: an address is no two names'
PINNED_WORKLOADS = 7
FIRST, SECOND = (sorted(os.sched_getaffinity(0)) * 2)[:2]


def new_names(place: Place, number: int, queries: int) -> Sample:
    return place.ask(LASTING, queries, first=APART + number * queries)


def known_names_at_once(place: Place, _: int, queries: int) -> Sample:
    return place.ask(PASSING, queries * 10, span=KNOWN, window=WINDOW)


def one_at_a_time(suffix: str, resolver: int) -> Callable[[Place, int, int], Sample]:
    """With client and resolver placed: where the kernel puts them decides more than what they do."""

    def way(place: Place, _: int, queries: int) -> Sample:
        with place.pinned(FIRST, resolver):
            return place.ask(suffix, queries * (3 if suffix == LASTING else 1), span=KNOWN)

    return way


def cached_at_once(place: Place, _: int, queries: int) -> Sample:
    return place.ask(LASTING, queries * 30, span=KNOWN, window=WINDOW)


WAYS = {
    "new names": new_names,
    "known names, on one processor": one_at_a_time(PASSING, FIRST),
    "known names, on two processors": one_at_a_time(PASSING, SECOND),
    f"known names, {WINDOW} at once": known_names_at_once,
    "cached, on one processor": one_at_a_time(LASTING, FIRST),
    "cached, on two processors": one_at_a_time(LASTING, SECOND),
    f"cached, {WINDOW} at once": cached_at_once,
}
# What is judged: which number, its limit, whether that is the least.
TARGETS = {
    "known names, on one processor": ("median", 1.3, False),
    "known names, on two processors": ("median", 1.3, False),
    "cached, on one processor": ("median", 1.2, False),
    "cached, on two processors": ("median", 1.2, False),
    f"cached, {WINDOW} at once": ("perSecond", 0.8, True),
}


def side_by_side(stack: contextlib.ExitStack, rounds: int, queries: int, with_egressd: bool) -> dict[str, Any]:
    """Every way to ask, of dnsmasq and of egressd, in turn."""
    bare, caching = Place(stack, "masq"), Place(stack, "masqcache")
    bare.dnsmasq(0)
    caching.dnsmasq(10_000)
    of_dnsmasq = {name: caching if name.startswith("cached") else bare for name in WAYS}
    sides = {"dnsmasq": of_dnsmasq}
    if with_egressd:
        broker = Place(stack, "names", need_egressd=True)
        broker.egressd(10)
        sides["egressd"] = dict.fromkeys(WAYS, broker)
    for place in {id(place): place for side in sides.values() for place in side.values()}.values():
        for suffix in (PASSING, LASTING):
            place.ask(suffix, KNOWN, window=16)
    samples: dict[str, dict[str, list[Sample]]] = {name: {side: [] for side in sides} for name in WAYS}
    direct: list[Sample] = []
    for number in range(rounds + 1):
        direct.append(bare.ask(PASSING, queries, span=KNOWN, server=IPV4.world))
        for name, way in WAYS.items():
            # Neither side is always the one that comes first.
            for side, places in list(sides.items())[:: 1 if number % 2 else -1]:
                sample = way(places[name], number, queries)
                if number > 0:  # the first round warms up
                    samples[name][side].append(sample)
    found: dict[str, Any] = {"direct": medians(direct[1:])}
    for name, few in samples.items():
        found[name] = {side: medians(ones) for side, ones in few.items()}
        if with_egressd:
            for key in ("median", "p99", "perSecond"):
                found[name][f"{key}Ratio"] = statistics.median(
                    one[key] / base[key] for one, base in zip(few["egressd"], few["dnsmasq"])
                )
    return found


def medians(few: list[Sample]) -> Sample:
    return {key: statistics.median(one[key] for one in few) for key in ("median", "p99", "perSecond", "lost")}


def one_more_pin(stack: contextlib.ExitStack, rounds: int, queries: int, each: int) -> dict[str, Any]:
    """The time of a query for a new name where 100 pins are in force, and where there are many."""
    few, many = (Place(stack, label, need_egressd=True) for label in ("few", "many"))
    few.egressd(PINNED_WORKLOADS)
    many.egressd(PINNED_WORKLOADS)
    few.ask(PASSING, 100)
    began = time.monotonic()
    for index in range(PINNED_WORKLOADS):
        many.ask(PASSING, each, first=index * APART, window=WINDOW, workload=index)
        print(f"  {(index + 1) * each:,} names after {time.monotonic() - began:.1f} s", flush=True)
    wait_idle(many.daemon)
    before = elements(many)
    if before < PINNED_WORKLOADS * each:
        raise LabError(f"{before} pins in the kernel, not {PINNED_WORKLOADS * each}")
    samples: dict[str, list[Sample]] = {"few": [], "many": []}
    for number in range(rounds + 1):
        for name, place in (("few", few), ("many", many)):
            sample = place.ask(PASSING, queries, first=each + number * queries)
            if number > 0:
                samples[name].append(sample)
    result: dict[str, Any] = {name: medians(ones) for name, ones in samples.items()}
    result["ratio"] = statistics.median(
        one["median"] / base["median"] for one, base in zip(samples["many"], samples["few"])
    )
    added = elements(many) - before
    if added != (rounds + 1) * queries:
        raise LabError(f"{added} pins came, not {(rounds + 1) * queries}")
    return {**result, "pins": before, "fewPins": elements(few), "residentMB": resident(many.daemon)}


def elements(place: Place) -> int:
    """How many pins the kernel has."""
    return place.lab.host.command("nft", "list", "set", "inet", "egressd", "pins4").count(" expires ")


def print_side_by_side(found: dict[str, Any]) -> None:
    rows = [("the world itself", "", *cells(found["direct"]), "", "")]
    for name in WAYS:
        one = found[name]
        rows.append((name, "dnsmasq", *cells(one["dnsmasq"]), "", ""))
        if "egressd" in one:
            ratios = f"{one['medianRatio']:.2f}", f"{one['perSecondRatio']:.2f}"
            rows.append(("", "egressd", *cells(one["egressd"]), *ratios))
    header = ("", "", "median µs", "p99 µs", "per second", "median ratio", "per second ratio")
    table("Queries for names, redirected to the resolver", rows, header)
    for name, (key, limit, least) in TARGETS.items():
        if "egressd" in found[name]:
            ratio = found[name][f"{key}Ratio"]
            what = "queries per second" if key == "perSecond" else "median time"
            print(f"  {name}: {ratio:.2f} of dnsmasq's {what}, {verdict(ratio, limit, least)}")
    if "egressd" in found["new names"]:
        print("  new names: every answer waits for a pin of its own, which dnsmasq does not have; not judged")


def cells(sample: Sample) -> tuple[str, str, str]:
    return f"{sample['median']:.1f}", f"{sample['p99']:.1f}", f"{sample['perSecond']:.0f}"


def names(quick: bool, with_egressd: bool = True) -> dict[str, Any]:
    rounds, queries = (3, 400) if quick else (15, 500)
    print("Names: dnsmasq and egressd in turn" if with_egressd else "Names: dnsmasq alone", flush=True)
    with contextlib.ExitStack() as stack:
        found = side_by_side(stack, rounds, queries, with_egressd)
    print_side_by_side(found)
    if with_egressd:
        # Below the bound of pins a workload: what is added must push none out.
        each = 2000 if quick else 14_400
        print(f"\n  filling {PINNED_WORKLOADS} workloads with {each:,} names each …", flush=True)
        with contextlib.ExitStack() as stack:
            found["pins"] = one = one_more_pin(stack, rounds, 120, each)
        print(f"One more pin: median {one['many']['median']:.1f} µs with {one['pins']:,} in force, "
              f"{one['few']['median']:.1f} µs with 100 to {one['fewPins']:,}; "
              f"ratio {one['ratio']:.2f}, {verdict(one['ratio'], 1.1)}; resident {one['residentMB']:.1f} MB",
              flush=True)  # fmt: skip
    return found
