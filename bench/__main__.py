"""Every benchmark in turn, one JSON object on standard output: `python -m bench [NAME...]`."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).parent
HELPERS = {"__init__", "__main__", "samples", "peers", "load", "repository_dictionary", "agreement_rules"}


def main() -> None:
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py") if path.stem not in HELPERS)
    figures = {}
    for name in names:
        print(f"bench: {name}", file=sys.stderr)
        figures[name] = importlib.import_module(f"bench.{name}").run()
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    print(json.dumps({"machine": machine, "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
