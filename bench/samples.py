"""Made-up messages for the benchmarks: seeded, so that two runs measure the same bytes. No person in them exists."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

__all__ = ["adt", "messages", "oru", "siu"]

FAMILY = ("Abbott", "Brandt", "Castell", "Dunmore", "Eklund", "Farrow", "Gellner", "Hartigan", "Iversen", "Jovanic")
GIVEN = ("Ada", "Bruno", "Clara", "Dario", "Elin", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Luca")
STREETS = ("Elm St", "Harbour Rd", "Mill Lane", "Station Ave", "Orchard Way", "Bridge St", "Kiln Close")
CITIES = (("Springfield", "IL", "62701"), ("Riverton", "WY", "82501"), ("Fairview", "OR", "97024"))
DOCTORS = ("1234567893^Provider^Pat^A^^Dr^MD", "1093817465^Okafor^Ngozi^^^Dr^MD", "1588667638^Lindqvist^Per^^^Dr^MD")
TESTS = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 110, 180, "12.0-16.0"),
    ("4544-3", "Hematocrit [Volume Fraction] of Blood", "%", 330, 520, "36-46"),
    ("789-8", "Erythrocytes [#/volume] in Blood", "10*6/uL", 36, 62, "4.1-5.1"),
    ("6690-2", "Leukocytes [#/volume] in Blood", "10*3/uL", 32, 139, "4.5-11.0"),
    ("777-3", "Platelets [#/volume] in Blood", "10*3/uL", 1200, 4800, "150-400"),
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 610, 2100, "70-99"),
    ("2160-0", "Creatinine [Mass/volume] in Serum", "mg/dL", 5, 21, "0.6-1.2"),
    ("3094-0", "Urea nitrogen [Mass/volume] in Serum", "mg/dL", 60, 310, "7-20"),
    ("2951-2", "Sodium [Moles/volume] in Serum", "mmol/L", 1280, 1490, "136-145"),
    ("2823-3", "Potassium [Moles/volume] in Serum", "mmol/L", 31, 57, "3.5-5.1"),
    ("2075-0", "Chloride [Moles/volume] in Serum", "mmol/L", 930, 1120, "98-107"),
    ("17861-6", "Calcium [Mass/volume] in Serum", "mg/dL", 79, 109, "8.6-10.2"),
    ("1975-2", "Bilirubin.total [Mass/volume] in Serum", "mg/dL", 2, 19, "0.1-1.2"),
    ("1742-6", "Alanine aminotransferase [Enzymatic activity/volume]", "U/L", 80, 640, "7-56"),
)
VITALS = (("8302-2", "Body height", "cm"), ("29463-7", "Body weight", "kg"))
START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def messages(n: int, seed: int = 1) -> list[bytes]:
    """`n` messages of about 3 kB each: ADT, ORU and SIU in turn, about n/20 patients, rising times and control ids."""
    rng = random.Random(seed)
    makers = (adt, oru, siu)
    return [makers[i % 3](rng, i, rng.randrange(max(1, n // 20))) for i in range(n)]


def adt(rng: random.Random, number: int, patient: int) -> bytes:
    """An admission or an update of it: contacts, allergies, diagnoses, insurance."""
    event = rng.choice(("A01", "A04", "A08", "A08", "A08"))
    at = _at(number)
    segments = [
        _msh(f"ADT^{event}^ADT_A01", number),
        f"EVN|{event}|{at}|||OP{rng.randrange(900) + 100}^Registrar^Robin",
        *_patient(rng, patient),
        *[_contact(rng, i + 1) for i in range(4)],
        _visit(rng, number, patient),
        f"PV2||S^Semi-private|R07.9^Chest pain, unspecified^I10C||||||{at[:8]}|{at[:8]}|4|||||||||||N||||||||||||||N",
        *[
            f"OBX|{i}|NM|{code}^{name}^LN||{rng.randrange(40, 200)}.{rng.randrange(10)}|{unit}^{unit}^UCUM|||||F|||{at}"
            for i, (code, name, unit) in enumerate(
                (("8302-2", "Body height", "cm"), ("29463-7", "Body weight", "kg")), 1
            )
        ],
        "AL1|1|DA^Drug allergy^HL70127|70618^Penicillin^RXNORM|SV^Severe^HL70128|Hives~Swelling|20190411",
        "AL1|2|FA^Food allergy^HL70127|762952008^Peanut^SCT|MO^Moderate^HL70128|Rash|20110302",
        "AL1|3|EA^Environmental allergy^HL70127|256277009^Grass pollen^SCT|MI^Mild^HL70128|Sneezing|20050517",
        f"DG1|1||I10^Essential (primary) hypertension^I10C|Hypertension|{at}|A|||||||||1|{rng.choice(DOCTORS)}",
        f"DG1|2||E11.9^Type 2 diabetes mellitus^I10C|Diabetes|{at}|A|||||||||2|{rng.choice(DOCTORS)}",
        f"DG1|3||R07.9^Chest pain, unspecified^I10C|Chest pain|{at}|W|||||||||3|{rng.choice(DOCTORS)}",
        f"GT1|1|G{patient:07}|{_name(rng)}||{_address(rng)}|{_phone(rng)}|||M|P|SEL^Self^HL70063",
        *_insurance(rng, patient),
    ]
    return _bytes(segments)


def oru(rng: random.Random, number: int, patient: int) -> bytes:
    """A panel of fourteen results with notes and a specimen."""
    at = _at(number)
    segments = [
        _msh("ORU^R01^ORU_R01", number),
        *_patient(rng, patient),
        _visit(rng, number, patient),
        f"ORC|RE|P{number:08}^EHR|F{number:08}^LAB||CM||||{at}|||{rng.choice(DOCTORS)}",
        f"OBR|1|P{number:08}^EHR|F{number:08}^LAB|24323-8^Comprehensive metabolic panel^LN|||{at}|||||||||"
        f"{rng.choice(DOCTORS)}||||||{at}||LAB|F",
        "NTE|1|L|Sample received in good condition \\T\\ processed at once",
    ]
    for i, (code, name, unit, low, high, normal) in enumerate(TESTS, 1):
        value = rng.randrange(low, high)
        flag = rng.choice(("N", "N", "N", "H", "L"))
        segments.append(
            f"OBX|{i}|NM|{code}^{name}^LN^L{i:03}^{name.split()[0]}^L||{value // 10}.{value % 10}|{unit}^{unit}^UCUM|"
            f"{normal}|{flag}^^HL70078|||F|||{at}||{rng.choice(DOCTORS)}"
        )
    segments += [
        "NTE|1|L|Repeated on a second analyser",
        f"SPM|1|S{number:08}&LAB||119364003^Serum specimen^SCT|||||||||||||{at}|{at}",
    ]
    return _bytes(segments)


def siu(rng: random.Random, number: int, patient: int) -> bytes:
    """An appointment with several resources."""
    event = rng.choice(("S12", "S13", "S14"))
    start = START + timedelta(days=14, minutes=15 * (number % 2000))
    begin, end = f"{start:%Y%m%d%H%M%S}+0000", f"{start + timedelta(minutes=30):%Y%m%d%H%M%S}+0000"
    segments = [
        _msh(f"SIU^{event}^SIU_S12", number),
        f"SCH|A{number:08}^EHR|A{number:08}^SCHED|||||FOLLOWUP^Follow-up visit^HL70276|OFFICE^Office visit^HL70277|30|"
        f"min^^UCUM|^^30^{begin}^{end}|{rng.choice(DOCTORS)}|{_phone(rng)}|{_address(rng)}||{rng.choice(DOCTORS)}|||||Booked",
        f"TQ1|1||||||{begin}|{end}",
        "NTE|1||Bring the list of medicines and the results of the last visit",
        *_patient(rng, patient),
        *[_contact(rng, i + 1) for i in range(3)],
        _visit(rng, number, patient),
        "DG1|1||I10^Essential (primary) hypertension^I10C|Hypertension||W",
        "RGS|1|A|CARD",
        f"AIS|1|A|99213^Office visit, established^C4|{begin}|15|min^^UCUM|30|min^^UCUM|NO|Booked^^HL70278",
        f"NTE|1||{'Fasting is not needed. ' * 6}",
        *[
            f"AIP|{i}|A|{rng.choice(DOCTORS)}|{role}|GEN|{begin}|0|min^^UCUM|30|min^^UCUM|NO|Booked^^HL70278"
            for i, role in enumerate(("ATT^Attending^HL70182", "NUR^Nurse^HL70182", "TEC^Technician^HL70182"), 1)
        ],
        *[
            f"AIL|{i}|A|CLIN{i}^R{i}0{i}^^GENHOSP|EXAM^Examination room^HL70305|CARD|{begin}|0|min^^UCUM|30|min^^UCUM|"
            "NO|Booked"
            for i in range(1, 3)
        ],
        f"AIG|1|A|ECG7^Electrocardiograph^L|EQ^Equipment^L|||1|{begin}|0|min^^UCUM|30|min^^UCUM|NO|Booked^^HL70278",
        *[f"NTE|{i}||{'Parking is free for two hours behind the east wing. ' * 3}" for i in range(1, 4)],
    ]
    return _bytes(segments)


def _bytes(segments: list[str]) -> bytes:
    return ("\r".join(segments) + "\r").encode()


def _at(number: int) -> str:
    return f"{START + timedelta(seconds=7 * number):%Y%m%d%H%M%S}+0000"


def _msh(kind: str, number: int) -> str:
    return f"MSH|^~\\&|EHR|GENHOSP|HILUM|CLIN|{_at(number)}||{kind}|M{number:09}|P|2.5.1|||AL|NE||UNICODE UTF-8"


def _name(rng: random.Random) -> str:
    return f"{rng.choice(FAMILY)}^{rng.choice(GIVEN)}^{rng.choice('ABCDEFGH')}^^^^L"


def _address(rng: random.Random) -> str:
    city, state, code = rng.choice(CITIES)
    return f"{rng.randrange(1, 400)} {rng.choice(STREETS)}^^{city}^{state}^{code}^USA^H"


def _phone(rng: random.Random) -> str:
    return f"^PRN^PH^^1^555^{rng.randrange(1000000, 9999999)}"


def _patient(rng: random.Random, patient: int) -> list[str]:
    own = random.Random(patient)
    birth = START - timedelta(days=own.randrange(400, 33000))
    return [
        f"PID|1||{100000 + patient}^^^GENHOSP&2.16.840.1.113883.3.999.1&ISO^MR~{own.randrange(10**8, 10**9)}^^^SSA^SS||"
        f"{_name(own)}~{_name(own)}||{birth:%Y%m%d}|{own.choice('FM')}||2106-3^White^CDCREC|{_address(own)}~{_address(own)}||"
        f"{_phone(own)}~^NET^Internet^p{patient}@mail.example|{_phone(own)}|eng^English^ISO639|M^Married^HL70002||"
        f"A{patient:08}^^^GENHOSP^AN|||||2186-5^Not Hispanic^CDCREC||N|||||||N",
        f"PD1|||Riverside Family Practice^^1122|{rng.choice(DOCTORS)}||||||||N",
    ]


def _contact(rng: random.Random, number: int) -> str:
    relation = rng.choice(("SPO^Spouse", "MTH^Mother", "FTH^Father", "CHD^Child", "SIB^Sibling"))
    return f"NK1|{number}|{_name(rng)}|{relation}^HL70063|{_address(rng)}|{_phone(rng)}||C^Emergency contact^HL70131"


def _visit(rng: random.Random, number: int, patient: int) -> str:
    doctors = "|".join(rng.choice(DOCTORS) for _ in range(3))
    return (
        f"PV1|1|{rng.choice('IIOE')}|4W^4{rng.randrange(10, 60)}^B^GENHOSP||||{doctors}|MED||||7|A0||"
        f"{rng.choice(DOCTORS)}|IP|V{patient:06}{number:04}^^^GENHOSP^VN|||||||||||||||||||||||||{_at(number)}"
    )


def _insurance(rng: random.Random, patient: int) -> list[str]:
    return [
        f"IN1|1|PPO^Preferred provider^L|60054^^^NAIC|Northern Mutual|PO Box 14079^^Lexington^KY^40512^USA||"
        f"^WPN^PH^^1^555^8723862|GRP{patient % 97:05}|Northern Industries|||20260101|20261231|||"
        f"{_name(rng)}|SEL^Self^HL70063|19{patient % 60 + 30}0214|{_address(rng)}|||1||||||||||||||W{patient:09}",
        f"IN2|{patient:09}|{rng.randrange(10**8, 10**9)}{'|' * 59}W{patient:09}",
    ]
