"""UCUM units as far as clinical data needs them: prefixes, the common atoms, products, quotients and powers.

The syntax is that of the UCUM specification (unitsofmeasure.org/ucum, sections 2 to 4): `mg/dL`, `10*3/uL`, `kg.m-2`,
`{beats}/min`, `mm[Hg]`. A unit is a factor to base units and the powers of what it measures; Celsius and Fahrenheit
have a zero of their own. Arbitrary units (`[iU]`) each measure something of their own: they compare with themselves.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from msgspec import Struct

__all__ = ["Unit", "multiply_units", "parse_unit"]

Dimension = tuple[tuple[str, int], ...]  # ("g", 1), ("L", -3): sorted, no zero powers


class Unit(Struct, frozen=True):
    """value in base units = (value + `zero`) * `factor`."""

    factor: Fraction
    dimension: Dimension = ()
    zero: Fraction = Fraction(0)

    @property
    def is_linear(self) -> bool:
        """Whether nought of it is nought of the base unit: Celsius is not."""
        return self.zero == 0

    def base(self, value: Decimal) -> Fraction:
        """A value of this unit in base units."""
        return (Fraction(value) + self.zero) * self.factor


_PREFIXES = {
    "Y": 24,
    "Z": 21,
    "E": 18,
    "P": 15,
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "h": 2,
    "da": 1,
    "d": -1,
    "c": -2,
    "m": -3,
    "u": -6,
    "n": -9,
    "p": -12,
    "f": -15,
    "a": -18,
    "z": -21,
    "y": -24,
}
# Base units of UCUM (section 4.2), and mole, which UCUM counts as a number: kept apart, so that mol/L is not 1/L.
_BASES = {"m", "s", "g", "K", "C", "cd", "rad", "mol"}
# name: (factor, unit that it is made of, whether it takes prefixes)
_DERIVED: dict[str, tuple[str, str, bool]] = {
    "L": ("1", "dm3", True),
    "l": ("1", "dm3", True),
    "t": ("1000", "kg", True),
    "ar": ("100", "m2", True),
    "min": ("60", "s", False),
    "h": ("60", "min", False),
    "d": ("24", "h", False),
    "wk": ("7", "d", False),
    "a": ("365.25", "d", False),
    "mo": ("30.4375", "d", False),
    "Hz": ("1", "s-1", True),
    "N": ("1", "kg.m/s2", True),
    "Pa": ("1", "N/m2", True),
    "J": ("1", "N.m", True),
    "W": ("1", "J/s", True),
    "A": ("1", "C/s", True),
    "V": ("1", "J/C", True),
    "Ohm": ("1", "V/A", True),
    "S": ("1", "A/V", True),
    "F": ("1", "C/V", True),
    "Wb": ("1", "V.s", True),
    "T": ("1", "Wb/m2", True),
    "H": ("1", "Wb/A", True),
    "Bq": ("1", "s-1", True),
    "Gy": ("1", "J/kg", True),
    "Sv": ("1", "J/kg", True),
    "Ci": ("37000000000", "Bq", True),
    "kat": ("1", "mol/s", True),
    "U": ("1", "umol/min", True),
    "bar": ("100000", "Pa", True),
    "atm": ("101325", "Pa", False),
    "m[Hg]": ("133.322", "kPa", True),
    "m[H2O]": ("9.80665", "kPa", True),
    "[psi]": ("6894.757293168", "Pa", False),
    "cal": ("4.184", "J", True),
    "[Cal]": ("1", "kcal", False),
    "eV": ("1.60217733e-19", "J", True),
    "eq": ("1", "mol", True),
    "osm": ("1", "mol", True),
    "%": ("0.01", "1", False),
    "[ppth]": ("0.001", "1", False),
    "[ppm]": ("0.000001", "1", False),
    "[ppb]": ("1e-9", "1", False),
    "[pi]": ("3.14159265358979", "1", False),
    "[in_i]": ("2.54", "cm", False),
    "[ft_i]": ("12", "[in_i]", False),
    "[yd_i]": ("3", "[ft_i]", False),
    "[mi_i]": ("5280", "[ft_i]", False),
    "[lb_av]": ("0.45359237", "kg", False),
    "[gr]": ("64.79891", "mg", False),
    "[oz_av]": ("28.349523125", "g", False),
    "[stone_av]": ("14", "[lb_av]", False),
    "[dr_av]": ("1.7718451953125", "g", False),
    "[lb_tr]": ("373.2417216", "g", False),
    "[oz_tr]": ("31.1034768", "g", False),
    "[gal_us]": ("231", "[cin_i]", False),
    "[cin_i]": ("16.387064", "cm3", False),
    "[qt_us]": ("0.25", "[gal_us]", False),
    "[pt_us]": ("0.5", "[qt_us]", False),
    "[cup_us]": ("0.5", "[pt_us]", False),
    "[foz_us]": ("0.03125", "[qt_us]", False),
    "[tbs_us]": ("0.5", "[foz_us]", False),
    "[tsp_us]": ("4.92892159375", "mL", False),
    "[drp]": ("0.05", "mL", False),
    "[sin_i]": ("6.4516", "cm2", False),
    "[sft_i]": ("0.09290304", "m2", False),
    "deg": ("0.0174532925199433", "rad", False),
    "'": ("0.000290888208665722", "rad", False),
    "sr": ("1", "rad2", True),
    "lm": ("1", "cd.sr", True),
    "lx": ("1", "lm/m2", True),
    "g%": ("1", "g/dL", True),
    "Ao": ("0.1", "nm", False),
    "u": ("1.6605402e-24", "g", True),
    "dyn": ("0.00001", "N", True),
    "erg": ("1e-7", "J", True),
    "P": ("0.1", "Pa.s", True),
    "St": ("0.0001", "m2/s", True),
    "REM": ("0.01", "Sv", True),
    "RAD": ("0.01", "Gy", True),
}
_ARBITRARY = {
    **dict.fromkeys(("[iU]", "[IU]"), True),
    **dict.fromkeys(("[arb'U]", "[USP'U]", "[CFU]", "[PFU]", "[CCID_50]", "[TCID_50]", "[EID_50]", "[FFU]"), False),
    **dict.fromkeys(("[Ch]", "[MET]", "[pH]", "[hpf]", "[lpf]", "[APL'U]", "[GPL'U]", "[MPL'U]"), False),
    **dict.fromkeys(("[AU]", "[BAU]", "[D'ag'U]", "[PNU]", "[HPF]", "[LPF]", "[ELISA'U]"), False),
}
_ALIASES = {"[IU]": "[iU]", "[HPF]": "[hpf]", "[LPF]": "[lpf]"}
_AFFINE = {"Cel": (Fraction(1), Fraction("273.15")), "[degF]": (Fraction(5, 9), Fraction("459.67"))}
_ATOM = re.compile(r"(?P<name>(?:\[[^\]]*\]|[^\[\]0-9+-])+)(?P<exponent>[+-]?[0-9]+)?")
_LONGEST = 100
_HIGHEST = 30  # power


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit | None:
    """What a UCUM code measures; None where it is not known."""
    if not text or len(text) > _LONGEST or not text.isascii():
        return None
    found = _AFFINE.get(text)
    if found is not None:
        return Unit(found[0], (("K", 1),), found[1])
    try:
        return _term(text)
    except ValueError:
        return None


def multiply_units(left: Unit, right: Unit, *, divide: bool) -> str:
    """The code of a product or quotient in base units: `g.m-1`; `1` where nothing is left."""
    powers = dict(left.dimension)
    for name, power in right.dimension:
        powers[name] = powers.get(name, 0) + (-power if divide else power)
    parts = [f"{name}{'' if power == 1 else power}" for name, power in sorted(powers.items()) if power]
    return ".".join(parts) or "1"


def _term(text: str) -> Unit:
    """A whole term: components joined by `.` and `/`, with parentheses. Raises ValueError."""
    unit, rest = _components(text)
    if rest:
        raise ValueError(text)
    return unit


def _components(text: str) -> tuple[Unit, str]:
    unit, sign = Unit(Fraction(1)), 1
    if text.startswith("/"):
        sign, text = -1, text[1:]
    while True:
        one, text = _component(text)
        unit = _product(unit, one, sign)
        if not text or text[0] == ")":
            return unit, text
        if text[0] not in "./" or len(text) == 1:
            raise ValueError(text)
        sign, text = (-1 if text[0] == "/" else 1), text[1:]


def _component(text: str) -> tuple[Unit, str]:
    if text.startswith("("):
        unit, rest = _components(text[1:])
        if not rest.startswith(")"):
            raise ValueError(text)
        return unit, rest[1:]
    end = _end(text)
    part, rest = text[:end], text[end:]
    part, brace, annotation = part.partition("{")
    if brace and not annotation.endswith("}"):
        raise ValueError(text)
    if not part and not brace:
        raise ValueError(text)
    return (_factor(part) if part else Unit(Fraction(1))), rest


def _end(text: str) -> int:
    """Where a component ends: at `.`, `/` or `)` outside of brackets and braces."""
    depth = 0
    for index, sign in enumerate(text):
        depth += (sign in "[{") - (sign in "]}")
        if depth == 0 and sign in "./)":
            return index
    return len(text)


def _factor(part: str) -> Unit:
    if part[:3] in ("10*", "10^"):
        return Unit(Fraction(10) ** _power(part[3:] or "1"))
    if part.isdigit():
        if not int(part):  # UCUM section 7: an integer number is positive, and nothing can be measured by 0
            raise ValueError(part)
        return Unit(Fraction(int(part)))
    match = _ATOM.fullmatch(part)
    if match is None:
        raise ValueError(part)
    unit, power = _atom(match["name"]), _power(match["exponent"] or "1")
    return Unit(unit.factor**power, tuple((name, count * power) for name, count in unit.dimension if power))


def _power(text: str) -> int:
    power = int(text)
    if abs(power) > _HIGHEST:
        raise ValueError(text)
    return power


def _atom(name: str) -> Unit:
    found = _known(name)
    if found is not None:
        return found
    for length in (1, 2):
        prefix, rest = _PREFIXES.get(name[:length]), name[length:]
        if prefix is not None and _takes_prefix(rest):
            found = _known(rest)
            if found is not None:
                return Unit(found.factor * Fraction(10) ** prefix, found.dimension)
    raise ValueError(name)


def _known(name: str) -> Unit | None:
    if name in _BASES:
        return Unit(Fraction(1), ((name, 1),))
    if name in _ARBITRARY:
        return Unit(Fraction(1), ((_ALIASES.get(name, name), 1),))
    if name in _DERIVED:
        factor, made_of, _ = _DERIVED[name]
        unit = Unit(Fraction(1)) if made_of == "1" else _term(made_of)
        return Unit(Fraction(factor) * unit.factor, unit.dimension)
    return None


def _takes_prefix(name: str) -> bool:
    return name in _BASES or _ARBITRARY.get(name, False) or (name in _DERIVED and _DERIVED[name][2])


def _product(left: Unit, right: Unit, sign: int) -> Unit:
    powers = dict(left.dimension)
    for name, power in right.dimension:
        powers[name] = powers.get(name, 0) + sign * power
    factor = left.factor * right.factor if sign > 0 else left.factor / right.factor
    return Unit(factor, tuple(sorted((name, power) for name, power in powers.items() if power)))
