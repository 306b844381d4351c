"""The message types and trigger events that HL7 v2 knows (tables 0076 and 0003, v2.1 to v2.8.2)."""

from __future__ import annotations

__all__ = ["KINDS", "TYPES", "is_local"]

_EVENTS = """
ADR A19 | ADT A01-A18 A20-A55 A60-A62 | BAR P01 P02 P05 P06 P10 P12 | BPS O29 | BRP O30 | BRT O32 | BTS O31
CCF I22 | CCI I22 | CCM I21 | CCQ I19 | CCR I16-I18 | CCU I20 | CQU I19 | CRM C01-C08 | CSU C09-C12 | DBC O41 O42
DBU O42 | DEL O46 | DEO O45 | DER O44 | DFT P03 P11 | DOC T12 | DPR O48 | DRC O47 | DRG O43
DSR Q01 Q03 P04 R03 R06 | EAC U07 | EAN U09 | EAR U08 | EDR R07
EHC E01 E02 E04 E10 E12 E13 E15 E20 E21 E24 E30 E31 | EQQ Q04 | ERP R09 | ESR U02 | ESU U01 | INR U06 U14 | INU U05
LSR U12 U13 | LSU U12 U13 | MCF Q02 | MDM T01-T11 | MFD M01-M03 | MFK M01-M18 | MFN M01-M18 | MFQ M01-M06
MFR M01-M07 | NMD N02 | NMQ N01 | NMR N01 | OMB O27 | OMD O03 | OMG O19 | OMI O23 | OML O21 O33 O35 O39 O59
OMN O07 | OMP O09 | OMQ O57 | OMS O05 | OPL O37 | OPR O38 | OPU R25 | ORA R33 R41 | ORB O28 | ORD O04 | ORF R04
ORG O20 | ORI O24 | ORL O22 O34 O36 O40 O53-O56 | ORM O01 | ORN O08 | ORP O10 | ORR O02 | ORS O06
ORU R01 R30-R32 R40 R42 R43 | ORX O58 | OSM R26 | OSQ Q06 | OSR Q06 | OSU O51 O52 | OUL R21-R24 | PEX P07 P08
PGL PC6-PC8 | PIN I07 | PMU B01-B08 | PPG PCG PCH PCJ | PPP PCB-PCD | PPR PC1-PC3 | PPT PCL | PPV PCA | PRR PC5
PTR PCF | QBP Q11 Q13 Q15 Q21-Q25 Q31-Q34 E03 E22 | QCK Q02 | QCN J01 | QRF W02
QRY A19 P04 PC4 PC9 PCE PCK Q01 Q02 Q26-Q30 R02 R05 T12 | QSB Q16 | QSX J02 | QVR Q17 | RAR RAR | RAS O01 O17
RCI I05 | RCL I06 | RDE O01 O11 O25 O49 | RDR RDR | RDS O01 O13 | RDY K15 Z80 Z98 | REF I12-I15 | RER RER | RGR RGR
RGV O01 O15 | ROR ROR | RPA I08-I11 | RPI I01 I04 | RPL I02 | RPR I03 | RQA I08-I11 | RQC I05 I06 | RQI I01-I03 I07
RQP I04 | RQQ Q09 | RRA O02 O18 | RRD O02 O14 | RRE O02 O12 O26 O50 | RRG O02 O16 | RRI I12-I15
RSP E03 E22 K11 K13 K15 K21-K25 K31-K34 | RTB K13 | SCN S37 | SDN S36 | SDR S31 | SIU S12-S24 S26 S27 | SLN S34 S35
SLR S28 S29 | SMD S32 | SPQ Q08 | SQM S25 | SQR S25 | SRM S01-S11 | SRR S01-S11 | SSR U04 | SSU U03 | STC S33
STI S30 | SUR P09 | TBR K13 R08 R09 | TCR U11 | TCU U10 | UDM Q05 | VQQ Q07 | VXQ V01 | VXR V03 | VXU V04 | VXX V02
"""


def _expand(events: list[str]) -> list[str]:
    """`A01-A03` is A01 A02 A03, `PCB-PCD` is PCB PCC PCD."""
    codes = []
    for event in events:
        first, _, last = event.partition("-")
        last = last or first
        if first[1:].isdigit():
            codes += [f"{first[0]}{number:02}" for number in range(int(first[1:]), int(last[1:]) + 1)]
        else:
            codes += [first[:2] + chr(letter) for letter in range(ord(first[2:] or "R"), ord(last[2:] or "R") + 1)]
    return codes


def _kinds() -> dict[str, list[str]]:
    entries = [entry.split() for entry in _EVENTS.replace("\n", "|").split("|") if entry.strip()]
    return {type_: _expand(events) for type_, *events in entries}


_BY_TYPE = _kinds()
TYPES = frozenset(_BY_TYPE) | {"ACK"}
KINDS = frozenset(f"{type_}^{event}" for type_, events in _BY_TYPE.items() for event in events) | {"ACK"}


def is_local(type_: str, event: str) -> bool:
    """Whether two sites agreed on this kind between them: a type or an event with Z (section 2.5.2)."""
    return type_[:1] == "Z" or event[:1] == "Z"
