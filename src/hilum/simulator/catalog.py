"""What the simulated hospital measures and treats: LOINC tests with UCUM units, wards, diagnoses, insurers."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["ALLERGIES", "APPOINTMENTS", "CODED_RESULTS", "DIAGNOSES", "INSURERS", "PANELS", "WARDS", "Analyte", "Panel"]


class Analyte(Struct, frozen=True):
    """One measured quantity: LOINC code, unit in UCUM, reference range, digits after the point."""

    code: str
    name: str
    unit: str
    low: float
    high: float
    digits: int


class Panel(Struct, frozen=True):
    """What is ordered together."""

    code: str
    name: str
    analytes: tuple[Analyte, ...]
    specimen: tuple[str, str]  # HL7 table 0487


_BLOOD, _SERUM = ("BLD", "Whole blood"), ("SER", "Serum")

PANELS = (
    Panel(
        "58410-2",
        "CBC panel",
        (
            Analyte("6690-2", "Leukocytes", "10*3/uL", 4.5, 11.0, 1),
            Analyte("789-8", "Erythrocytes", "10*6/uL", 4.2, 5.9, 2),
            Analyte("718-7", "Hemoglobin", "g/dL", 12.0, 17.5, 1),
            Analyte("4544-3", "Hematocrit", "%", 36.0, 53.0, 1),
            Analyte("787-2", "MCV", "fL", 80.0, 100.0, 1),
            Analyte("785-6", "MCH", "pg", 27.0, 33.0, 1),
            Analyte("786-4", "MCHC", "g/dL", 32.0, 36.0, 1),
            Analyte("788-0", "Erythrocyte distribution width", "%", 11.5, 14.5, 1),
            Analyte("777-3", "Platelets", "10*3/uL", 150.0, 400.0, 0),
            Analyte("32623-1", "Mean platelet volume", "fL", 7.5, 11.5, 1),
        ),
        _BLOOD,
    ),
    Panel(
        "24323-8",
        "Comprehensive metabolic panel",
        (
            Analyte("2951-2", "Sodium", "mmol/L", 135.0, 145.0, 0),
            Analyte("2823-3", "Potassium", "mmol/L", 3.5, 5.1, 1),
            Analyte("2075-0", "Chloride", "mmol/L", 98.0, 107.0, 0),
            Analyte("2028-9", "Carbon dioxide", "mmol/L", 22.0, 29.0, 0),
            Analyte("3094-0", "Urea nitrogen", "mg/dL", 7.0, 20.0, 0),
            Analyte("2160-0", "Creatinine", "mg/dL", 0.6, 1.3, 2),
            Analyte("2345-7", "Glucose", "mg/dL", 70.0, 99.0, 0),
            Analyte("17861-6", "Calcium", "mg/dL", 8.6, 10.3, 1),
            Analyte("2885-2", "Protein", "g/dL", 6.0, 8.3, 1),
            Analyte("1751-7", "Albumin", "g/dL", 3.5, 5.2, 1),
            Analyte("1975-2", "Bilirubin", "mg/dL", 0.1, 1.2, 1),
            Analyte("6768-6", "Alkaline phosphatase", "U/L", 44.0, 147.0, 0),
        ),
        _SERUM,
    ),
    Panel(
        "57698-3",
        "Lipid panel",
        (
            Analyte("2093-3", "Cholesterol", "mg/dL", 120.0, 200.0, 0),
            Analyte("2571-8", "Triglyceride", "mg/dL", 40.0, 150.0, 0),
            Analyte("2085-9", "Cholesterol in HDL", "mg/dL", 40.0, 80.0, 0),
            Analyte("13457-7", "Cholesterol in LDL, calculated", "mg/dL", 50.0, 130.0, 0),
        ),
        _SERUM,
    ),
    Panel(
        "24348-5",
        "Thyroid panel",
        (
            Analyte("3016-3", "Thyrotropin", "m[IU]/L", 0.4, 4.0, 2),
            Analyte("3024-7", "Thyroxine, free", "ng/dL", 0.8, 1.8, 2),
            Analyte("3051-0", "Triiodothyronine, free", "pg/mL", 2.3, 4.2, 1),
        ),
        _SERUM,
    ),
)

# LOINC code, name, and what is found: SNOMED CT code and text. These go out as CWE.
CODED_RESULTS = (
    ("94500-6", "SARS-CoV-2 RNA", ("260415000", "Not detected")),
    ("94500-6", "SARS-CoV-2 RNA", ("260373001", "Detected")),
    ("5196-1", "Hepatitis B virus surface antigen", ("260385009", "Negative")),
    ("882-1", "ABO and Rh group", ("278149003", "Blood group A Rh(D) positive")),
)

# point of care, first room, beds per room
WARDS = (("2W", 201, "AB"), ("3E", 301, "AB"), ("4N", 401, "ABC"), ("ICU", 1, "A"), ("ED", 1, "A"))

DIAGNOSES = (
    ("I10", "Essential (primary) hypertension"),
    ("E11.9", "Type 2 diabetes mellitus without complications"),
    ("J18.9", "Pneumonia, unspecified organism"),
    ("S72.001A", "Fracture of neck of right femur, initial encounter"),
    ("N39.0", "Urinary tract infection, site not specified"),
    ("R07.9", "Chest pain, unspecified"),
)

# type (table 0127), code, name, severity (table 0128), reaction
ALLERGIES = (
    ("DA", "7980", "Penicillin G", "SV", "Hives"),
    ("DA", "1191", "Aspirin", "MO", "Wheezing"),
    ("FA", "762952008", "Peanut", "SV", "Anaphylaxis"),
    ("EA", "256277009", "Grass pollen", "MI", "Sneezing"),
)

INSURERS = (
    ("PPO100", "Preferred Choice", "INS01", "Prairie Mutual"),
    ("HMO200", "Open Care", "INS02", "Lakeside Health"),
)

# reason code, text, minutes
APPOINTMENTS = (("CHECKUP", "Annual check-up", 30), ("FOLLOWUP", "Follow-up visit", 20), ("ROUTINE", "Blood test", 15))
