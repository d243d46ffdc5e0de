"""Damages files as disks, people and strangers do: values exchanged, bytes changed."""

import random
from typing import Any

JUNK = (None, True, -1, 0, 10**30, 1.5, 1e300, "text", "", [], {}, [[]], {"a": [None]})
N_DEEP = 5000  # brackets, more than Python's stack holds
HEAD_BYTES = 200  # in which half of the changes of bytes are made


def mutate_values(values: Any, rng: random.Random) -> Any:
    """A copy with one value anywhere exchanged, or one key or element missing."""
    if isinstance(values, dict | list) and values and rng.random() < 0.8:
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        key = rng.choice(keys)
        copy = values.copy()
        if rng.random() < 0.3:
            del copy[key]
        else:
            copy[key] = mutate_values(values[key], rng)
        return copy
    return rng.choice(JUNK)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Changes, removes, repeats or cuts off some bytes."""
    mutant = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        reach = HEAD_BYTES if rng.random() < 0.5 else len(mutant)
        place = rng.randrange(max(1, min(reach, len(mutant))))
        kind = rng.randrange(5)
        if kind == 0:
            mutant[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            mutant[place : place + 4] = rng.choice([b"\xff", b"\0", b"\x7f"]) * 4
        elif kind == 2:
            del mutant[place : place + rng.randint(1, 50)]
        elif kind == 3:
            mutant[place:place] = mutant[place : place + rng.randint(1, 500)]
        elif rng.random() < 0.3:
            del mutant[place:]
    return bytes(mutant)


def deep(data: bytes, rng: random.Random) -> bytes:
    """Puts many brackets in a random place."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice([b"[", b"{", b"("]) * N_DEEP + data[place:]
