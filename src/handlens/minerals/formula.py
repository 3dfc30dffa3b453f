"""Chemical formulas as the knowledge base writes them, and the elements in them.

Plain text: `CaCO3`, `(Mg,Fe)2SiO4`, `CaSO4·2H2O`, `Na0-1Ca(Si,Al)4O8`, `Fe1-xS`. Commas part elements that take each
other's place, `·` parts what is bound loosely, `□` is an empty site, `x` and `n` vary. Charges are left
out.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ELEMENTS", "elements_of"]

_SYMBOLS: Final = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb
Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au
Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U
"""
ELEMENTS: Final = frozenset(_SYMBOLS.split())
"""Symbols of the elements that minerals are made of, and their neighbours."""
_BRACKETS: Final = {")": "(", "]": "["}
_NUMBERS: Final = frozenset("0123456789.-xn")


def elements_of(formula: str) -> frozenset[str]:
    """The symbols of the elements in a formula. Raises ValueError, saying where, for what is no formula."""
    found: set[str] = set()
    opened: list[str] = []
    place = 0
    after = (
        ""  # the kind of what stands before: "" begin, "e" element or vacancy, "n" number, "o" open, "c" closed, ","
    )
    while place < len(formula):
        char = formula[place]
        if char.isupper():
            symbol = formula[place : place + 2]
            symbol = symbol if symbol in ELEMENTS else char
            if symbol not in ELEMENTS:
                raise ValueError(f"{formula!r}: {symbol!r} at {place + 1} is no element")
            found.add(symbol)
            place += len(symbol)
            after = "e"
            continue
        place += 1
        if char == "□":
            after = "e"
        elif char in _BRACKETS.values():
            opened.append(char)
            after = "o"
        elif char in _BRACKETS:
            if not opened or opened.pop() != _BRACKETS[char] or after in ("o", ","):
                raise ValueError(f"{formula!r}: the bracket at {place} closes nothing")
            after = "c"
        elif char in ",·":
            if after in ("", "o", ","):
                raise ValueError(f"{formula!r}: {char!r} at {place} parts nothing")
            after = ","
        elif char in _NUMBERS:
            if after in ("", "o") or (after == "," and opened):
                raise ValueError(f"{formula!r}: the number at {place} counts nothing")
            after = "," if after == "," else "n"
        else:
            raise ValueError(f"{formula!r}: {char!r} at {place} has no place in a formula")
    if opened or after in ("", ","):
        raise ValueError(f"{formula!r}: it ends too early")
    return frozenset(found)
