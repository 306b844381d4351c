"""`hilum workbook export-concept-maps`: the code maps as FHIR ConceptMaps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hilum.app.arguments import Json, MaybeFolder
from hilum.app.drafts import write_drafts
from hilum.app.printing import print_json
from hilum.app.reviewing import review_folder
from hilum.workbook import concept_maps_of, text_of_concept_map

__all__ = ["command"]

USAGE = 2


def command(
    folder: MaybeFolder = None,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The folder to write the files into.")],
    names: Annotated[
        list[str] | None, Parameter(name="--map", help="Only this map; may be given again.", negative="")
    ] = None,
    force: Annotated[bool, Parameter(help="Replace files that are there.", negative="")] = False,
    json: Json = False,
) -> int:
    """Write the code maps as ConceptMaps of FHIR R4, one file for each map and sender.

    Terminology servers and people who keep code maps in FHIR can read, compare and change them;
    `hilum workbook import-concept-maps` brings changes back. A code that means nothing on purpose is `unmatched`, every
    other target `relatedto`. The same tables give the same files.
    """
    opened = review_folder(folder)
    made = concept_maps_of(opened.review, opened.use, names or ())
    if not made:
        print(f"hilum: there is no map {', '.join(names) if names else 'at all'}", file=sys.stderr)
        return USAGE
    files = {name: text_of_concept_map(body).encode() for name, body in made.items()}
    write_drafts(output, files, force=force)
    codes = sum(len(group["element"]) for body in made.values() for group in body["group"])
    if json:
        print_json({"files": sorted(files), "codes": codes})
    else:
        print(f"wrote {len(files)} ConceptMaps with {codes} codes into {output}")
    return 0
