"""`$export` (Bulk Data Access IG 2.0): kick-off, status, files, cancellation.

An export belongs to the token that asked for it: to all others it is as absent as one that never was. What is in its
files is decided by what that token may see, when it is asked for and again when a file is read.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator, Mapping, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING

import msgspec
from starlette.types import Receive, Scope, Send

from hilum.app.api.asking import asked_of
from hilum.app.api.auth import out_of_scope
from hilum.app.api.bundles import instant
from hilum.app.api.exchange import Call, Handler, Reply
from hilum.app.api.negotiation import JSON, check_format, is_strict, takes_gzip
from hilum.app.api.outcomes import Problem
from hilum.app.api.sight import EVERYTHING, Sight, seen
from hilum.app.bulk.asking import Export, absent_note, asked_for
from hilum.app.bulk.exporting import FAILED, ExportFile, ExportJob
from hilum.formats import fhir
from hilum.repository import Repository
from hilum.safeguards import Interaction

if TYPE_CHECKING:  # it imports from this package
    from hilum.app.bulk.exports import Exports

__all__ = ["BulkExport"]

NDJSON = "application/fhir+ndjson"
WAIT_SECONDS = 2  # that a client is asked to wait between two looks
GZIP_LEVEL = 1  # a fifth of the size at a tenth of the time of the best
GZIP_FORMAT = 31  # zlib: the largest window, behind the header of gzip
AT_ONCE = 1024 * 1024  # bytes of a file that are decrypted in one go


class BulkExport:
    """Answers for exports."""

    def __init__(self, exports: Exports, repository: Repository, base: str) -> None:
        self._exports, self._repository, self._base = exports, repository, base

    def addresses(self) -> Mapping[str, Mapping[str, Handler]]:
        """Paths of routes, with what they take."""
        return {
            "/fhir/$export": {"GET": self.of_system, "POST": self.of_system},
            "/fhir/Patient/$export": {"GET": self.of_patients, "POST": self.of_patients},
            "/fhir/Group/{id:fhirid}/$export": {"GET": self.of_group, "POST": self.of_group},
            "/fhir/$export-status/{job:fhirid}": {"GET": self.status, "DELETE": self.cancel},
            "/fhir/$export-file/{job:fhirid}/{name}": {"GET": self.file},
        }

    async def of_system(self, call: Call) -> Reply:
        """`[base]/$export`."""
        return await self._begin(call, "$export", is_of_patients=False, patients=None)

    async def of_patients(self, call: Call) -> Reply:
        """`[base]/Patient/$export`: the compartments of all patients."""
        return await self._begin(call, "Patient/$export", is_of_patients=True, patients=None)

    async def of_group(self, call: Call) -> Reply:
        """`[base]/Group/[id]/$export`: the compartments of its members."""
        id_ = call.params["id"]
        call.target = f"Group/{id_}/$export"
        return await self._begin(call, call.target, is_of_patients=True, patients=self._members(call, id_))

    async def status(self, call: Call) -> Reply:
        """202 while it is under way, 200 with the manifest when it is done."""
        job = self._job(call)
        if job.state == FAILED:
            text = "the export could not be written and was given up: have the disk looked at, and export again"
            raise Problem("export-failed", 500, "exception", text)
        if not job.ended:
            headers = {"X-Progress": f"{job.share:.0%} done", "Retry-After": str(WAIT_SECONDS)}
            return Reply(202, b"", headers)
        expires = formatdate(self._exports.expires(job) / 1e6, usegmt=True)
        return Reply(200, msgspec.json.encode(self._manifest(job)), {"Expires": expires}, content_type=JSON)

    async def cancel(self, call: Call) -> Reply:
        """`DELETE` of a status address: ends the export, or deletes its files."""
        await self._exports.cancel(self._job(call).id)
        return Reply(202, b"")

    async def file(self, call: Call) -> Reply:
        """One file of a manifest."""
        job = self._job(call)
        found = next((one for one in job.files if one.name == call.params["name"]), None)
        if found is None or not job.ended:
            raise _absent()
        now = call.sight_for(Interaction.SEARCH)
        if not now.covers(job.asked.limits):
            text = "this token may not see all that was exported: export again with it"
            raise Problem("export-scope-changed", 403, "forbidden", text)
        call.target = f"$export/{job.id}/{found.name}"
        call.detail = f"count={found.count}"
        return FileReply(found, self._exports.read(job, found), is_zipped=takes_gzip(call.header("accept-encoding")))

    async def _begin(self, call: Call, address: str, *, is_of_patients: bool, patients: Sequence[str] | None) -> Reply:
        call.target = address
        if call.scope["method"] == "HEAD":
            text = "a kick-off is a GET or a POST"
            raise Problem("method-not-allowed", 405, "not-supported", text, headers={"Allow": "GET, POST"})
        if "respond-async" not in [one.strip().lower() for one in call.header("prefer").replace(";", ",").split(",")]:
            text = "an export is made beside the request: send Prefer: respond-async"
            raise Problem("export-not-async", 400, "required", text)
        check_format(call.header("accept"), None)
        pairs = await asked_of(call)
        written = call.query.decode("latin-1")
        asked = asked_for(
            f"{self._base}/{address}{'?' if written else ''}{written}",
            pairs,
            is_of_patients=is_of_patients,
            patients=patients,
            strict=is_strict(call.header("prefer")),
        )
        sight = call.sight_for(Interaction.SEARCH)
        limits = None if sight.limits is None else dict(sight.limits)
        types = tuple(one for one in asked.types if sight.sees_type(one))
        hidden = [one for one in asked.types if one not in types] if any(name == "_type" for name, _ in pairs) else []
        if not types or (hidden and is_strict(call.header("prefer"))):
            raise out_of_scope((hidden or ["Patient"])[0])
        notes = (*asked.notes, *(f"_type: no scope of this token allows to search {one}" for one in hidden))
        if patients is None and asked.patients is not None and sight.sees_type("Patient"):
            notes += absent_note([one for one in asked.patients if not self._is_here(sight, one)], "are not here")
        asked = msgspec.structs.replace(asked, types=types, limits=limits, notes=notes)
        job = await self._exports.take(call.actor, asked)
        call.detail = f"export={job.id} types={len(types)}"
        return Reply(202, b"", {"Content-Location": f"{self._base}/$export-status/{job.id}"})

    def _is_here(self, sight: Sight, id_: str) -> bool:
        stored = seen(self._repository, sight, "Patient", id_)
        return stored is not None and not stored.deleted

    def _members(self, call: Call, id_: str) -> list[str]:
        """R4 group.html: members of the Group that are patients and not inactive.

        Who may search all patients needs no scope for Group: bulk clients ask for the types of the files alone.
        """
        group, patients = call.sight_for(Interaction.READ), call.sight_for(Interaction.SEARCH)
        if not group.sees_type("Group") and not patients.sees_all("Patient"):
            raise out_of_scope("Group")
        stored = seen(self._repository, group if group.sees_type("Group") else EVERYTHING, "Group", id_)
        if stored is None or stored.deleted:
            raise Problem("resource-unknown", 404, "not-found", "there is no Group with this id")
        found = []
        for one in fhir.decode(stored.body).get("member", ()):
            reference = fhir.parse_reference(str(one.get("entity", {}).get("reference", "")))
            if reference is not None and reference.type == "Patient" and not one.get("inactive"):
                found.append(reference.id)
        return found

    def _job(self, call: Call) -> ExportJob:
        call.target = "$export"
        job = self._exports.find(call.params["job"])
        if job is None or job.actor != call.actor:
            raise _absent()
        call.target = f"$export/{job.id}"
        return job

    def _manifest(self, job: ExportJob) -> dict[str, object]:
        asked: Export = job.asked
        listed: dict[str, list[dict[str, object]]] = {"output": [], "deleted": [], "error": []}
        for one in job.files:
            url = f"{self._base}/$export-file/{job.id}/{one.name}"
            listed[one.kind].append({"type": one.type, "url": url, "count": one.count})
        return {
            "transactionTime": instant(job.moment.at * 1000),
            "request": asked.request,
            "requiresAccessToken": True,
            **listed,
        }


class FileReply(Reply):
    """A file as a stream: nothing of it is in memory but the piece that is sent. Compressed for who takes it so."""

    __slots__ = ("_pieces", "_zip")

    def __init__(self, file: ExportFile, pieces: Iterator[bytes], *, is_zipped: bool) -> None:
        super().__init__(200, b"")
        self._pieces = pieces
        self._zip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_FORMAT) if is_zipped else None
        length = (b"content-length", str(file.size.plain).encode())
        self.headers = [
            (b"content-type", NDJSON.encode()),
            (b"vary", b"accept-encoding"),
            (b"content-encoding", b"gzip") if is_zipped else length,
        ]

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        is_more = scope["method"] != "HEAD"
        while is_more:
            text, is_more = await asyncio.to_thread(self._some)
            await send({"type": "http.response.body", "body": text, "more_body": is_more})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})

    def _some(self) -> tuple[bytes, bool]:
        """The next part as it is sent, and whether there is more."""
        found, size = [], 0
        for piece in self._pieces:
            found.append(piece if self._zip is None else self._zip.compress(piece))
            size += len(piece)
            if size >= AT_ONCE:
                return b"".join(found), True
        if self._zip is not None:
            found.append(self._zip.flush())
        return b"".join(found), False


def _absent() -> Problem:
    text = "there is no such export, or its files have expired: export again"
    return Problem("export-unknown", 404, "not-found", text)
