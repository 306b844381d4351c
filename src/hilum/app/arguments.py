"""Parameters that commands share, declared once. FOLDER is the last word of every command; by default it is here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["Environment", "Folder", "Json"]

Folder = Annotated[Path, Parameter(help="The integration folder.")]
Environment = Annotated[str | None, Parameter(help="Use environments/NAME.yaml.")]
Json = Annotated[bool, Parameter(help="Print JSON for programs.", negative="")]
