"""Which decisions a row's transform asks for without naming them: found by building it with params that are watched."""

from __future__ import annotations

from hilum.mapping.lookup import CodeMaps, CodeSystems, Namespaces
from hilum.mapping.rows import Rule
from hilum.mapping.transforms import COMBINATORS, Env, Spec, transform_of

__all__ = ["params_asked"]


class _Watched(dict[str, str]):
    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.add(name)
        return default


def params_asked(rule: Rule) -> frozenset[str]:
    """Params that the row's transform reads when it is made ready, such as `zone`.

    Those that are asked for each value (`unknown_namespace`, `default_authority`) are not seen here.
    """
    name = rule.transform.name
    factory = None if name in COMBINATORS else transform_of(name)
    if factory is None:
        return frozenset()
    row, call = rule.row, rule.transform
    spec = Spec(row.row_id, "", "", row.type or "ST", name, call.args, call.named, row.map, rule.unmapped, rule.element)
    params = _Watched()
    env = Env(
        delimiters=("^", "~", "\\", "&"),
        sender="",
        maps=CodeMaps((), ""),
        codesystems=CodeSystems((), ""),
        namespaces=Namespaces((), ""),
        params=params,
    )
    factory(spec, env)
    return frozenset(params.asked)
