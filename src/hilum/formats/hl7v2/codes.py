"""Every code that reading HL7 v2 can give: what becomes of the message by default, and what the sender is told."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from hilum.model import Disposition, Finding, Severity

__all__ = ["CODES", "UNREADABLE", "Code", "finding", "hl7_error"]

_ACCEPT, _WARN, _HOLD, _AE, _AR = Disposition


class Code(Struct, frozen=True):
    """One code: its default disposition, the HL7 error code (table 0357) for the sender, and what it says."""

    policy: Disposition
    error: int
    text: str


# Without a readable header or text there is nothing to apply: these can be held or refused, never let through.
UNREADABLE: dict[str, Code] = {
    "frame-empty": Code(_AR, 100, "there is nothing in the frame"),
    "frame-not-hl7": Code(_AR, 100, "this is not HL7 v2"),
    "header-missing": Code(_AR, 100, "the message does not start with MSH"),
    "delimiters-missing": Code(_AR, 101, "MSH-1 and MSH-2 do not name all delimiters"),
    "delimiters-duplicate": Code(_AR, 102, "one character has two meanings in MSH-1 and MSH-2"),
    "delimiters-invalid": Code(_AR, 102, "MSH-1 or MSH-2 names characters that cannot be delimiters"),
    "charset-undecodable": Code(_AE, 102, "the bytes are not written in the character set of the message"),
    "batch-unexpected": Code(_AE, 100, "a batch stands where one message is expected"),
}

CODES: dict[str, Code] = {
    **UNREADABLE,
    # header
    "type-missing": Code(_AE, 101, "MSH-9 does not name a message type and a trigger event"),
    "type-unsupported": Code(_AR, 200, "MSH-9 names a message type that HL7 v2 does not know"),
    "event-unsupported": Code(_AR, 201, "MSH-9 names a trigger event that HL7 v2 does not know for this type"),
    "event-local": Code(_WARN, 201, "MSH-9 names a local type or trigger event"),
    "control-id-missing": Code(_WARN, 101, "MSH-10 is blank: a repeat of this message cannot be told by its id"),
    "version-missing": Code(_WARN, 101, "MSH-12 does not name the version"),
    "version-unknown": Code(_WARN, 203, "MSH-12 names a version that is none of HL7 v2"),
    "processing-id-missing": Code(_WARN, 101, "MSH-11 does not say production, training or debugging"),
    "processing-id-unknown": Code(_WARN, 202, "MSH-11 is none of P, T and D"),
    "processing-id-test": Code(_ACCEPT, 202, "MSH-11 says training or debugging"),
    "sent-time-missing": Code(_WARN, 101, "MSH-7 is blank"),
    "sent-time-invalid": Code(_WARN, 102, "MSH-7 is not a time"),
    "zone-missing": Code(_WARN, 102, "MSH-7 has no offset from UTC: times are read in the zone of the source"),
    # characters
    "byte-order-mark": Code(_WARN, 102, "a byte order mark stands before MSH"),
    "charset-alias": Code(_WARN, 103, "MSH-18 is not spelled as in table 0211, but its meaning is plain"),
    "charset-unknown": Code(_WARN, 103, "MSH-18 names no known character set: the default of the source was used"),
    "charset-undeclared": Code(_WARN, 101, "MSH-18 is empty, yet there are characters beyond ASCII"),
    "charset-suspect": Code(_WARN, 102, "the bytes were read in the default character set, but they are valid UTF-8"),
    "charset-switched": Code(_AE, 103, "the text switches to a character set that MSH-18 does not name"),
    "character-control": Code(_WARN, 102, "there is a control character: in resources a blank stands for it"),
    "character-replaced": Code(_WARN, 102, "there is U+FFFD in the text: a sender before lost a character"),
    "escape-stray": Code(_WARN, 102, "an escape character stands there without a sequence; it is kept as it is"),
    "value-truncated": Code(_WARN, 104, "a value ends with the truncation character: the sender cut it"),
    # shape
    "leading-blank": Code(_WARN, 100, "blank characters stand before MSH"),
    "terminator-not-cr": Code(_WARN, 100, "segments end in LF or CRLF, not in CR"),
    "terminators-mixed": Code(_WARN, 100, "segments end in different ways"),
    "segment-name-long": Code(_WARN, 100, "a segment name has four characters"),
    "line-break-in-field": Code(_HOLD, 100, "a line is no segment: a line break inside a field was not escaped"),
    "segment-order": Code(_WARN, 100, "a segment stands before one that it should follow"),
    "messages-several": Code(_AE, 100, "more than one MSH stands in one frame"),
    "patients-several": Code(_WARN, 100, "there is more than one patient; the first one orders the message"),
    "repetitions-many": Code(_WARN, 102, "a field has more than 100 repetitions"),
    # content
    "patient-id-missing": Code(_AE, 101, "PID-3 holds no identifier"),
    "merge-id-missing": Code(_AE, 101, "a merge without the identifier that is merged (MRG-1)"),
    "birth-date-future": Code(_WARN, 102, "PID-7 lies in the future"),
    "appointment-time-missing": Code(_AE, 101, "no time in SCH-11, TQ1-7, AIS-4, AIG-8, AIL-6 or AIP-6"),
    "data-not-base64": Code(_AE, 102, "OBX-5 says Base64 and is not"),
    "number-not-plain": Code(_WARN, 102, "a number (NM) is not written as digits with a point"),
    # batches
    "batch-count": Code(_AE, 102, "BTS-1 is not the number of messages in the batch"),
    "batch-file-count": Code(_AE, 102, "FTS-1 is not the number of batches in the file"),
    "batch-count-missing": Code(_WARN, 101, "BTS-1 or FTS-1 is blank or not a number: the count was not checked"),
    "batch-header-missing": Code(_WARN, 100, "a trailer stands there without its header"),
    "batch-trailer-missing": Code(_WARN, 100, "a batch or file has a header and no trailer: the count was not checked"),
    "batch-stray-segment": Code(_AE, 100, "a segment in the batch belongs to no message"),
    "batch-empty": Code(_WARN, 100, "there is no message in the batch"),
    "batch-glued": Code(_WARN, 100, "several messages stand together without a batch header"),
    "batch-framed": Code(_WARN, 100, "MLLP framing characters stand between the messages of a file"),
}


@lru_cache(maxsize=1024)
def finding(code: str, location: str, refused: bool, detail: str = "") -> Finding:
    """The finding for a code at a place."""
    text = CODES[code].text
    severity = Severity.ERROR if refused else Severity.WARNING
    return Finding(code, detail or text, location, severity)


def hl7_error(code: str) -> tuple[int, str]:
    """Number and name in table 0357 for one of our codes; 207 for what is not the sender's doing."""
    number = CODES[code].error if code in CODES else 207
    return number, TABLE_0357[number]


TABLE_0357 = {
    0: "Message accepted",
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    104: "Value too long",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    204: "Unknown key identifier",
    205: "Duplicate key identifier",
    206: "Application record locked",
    207: "Application internal error",
}
