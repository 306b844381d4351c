"""Invented people and places. Names are in the script of their owners, with the Latin form that other systems use."""

from __future__ import annotations

from random import Random

from msgspec import Struct

__all__ = ["CITIES", "CLINICIANS", "Name", "draw_name", "draw_street"]


class Name(Struct, frozen=True):
    """A name as its owner writes it, and in Latin letters when that differs."""

    family: str
    given: str
    latin_family: str
    latin_given: str

    @property
    def is_latin(self) -> bool:
        """Whether the owner writes it in Latin letters."""
        return self.family == self.latin_family and self.given == self.latin_given


# family names; female given names; male given names. `/` parts the own script from its Latin form.
_POOLS = (
    (
        "Alder Bracken Calloway Dunmore Eastwick Fairbairn Greaves Hollis Ingram Jessop",
        "Amelia Bridget Clara Daphne Edith Flora Grace Hazel",
        "Alfred Basil Cedric Duncan Edgar Felix Gareth Hugh",
    ),
    (
        "Álvarez Benítez Cordón Domínguez Echeverría Fuentes Gutiérrez Ibáñez Muñoz Peña",
        "Ángela Belén Inés Lucía Noemí Rocío Sofía Begoña",
        "Andrés Benjamín César Íñigo Joaquín Martín Raúl Tomás",
    ),
    (
        "Bäcker Döring Förster Größl Jäger Köhler Müller Schäfer Vögel Weiß",
        "Änne Bärbel Hedwig Jördis Käthe Mareike Sünje Undine",
        "Björn Götz Günther Jörg Lorenz Rüdiger Sören Wolfram",
    ),
    (
        "Brzęcki/Brzecki Dąbrowska/Dabrowska Gawroński/Gawronski Łukasik/Lukasik Żurawski/Zurawski Śliwa/Sliwa",
        "Bożena/Bozena Grażyna/Grazyna Małgorzata/Malgorzata Żaneta/Zaneta",
        "Błażej/Blazej Paweł/Pawel Wiesław/Wieslaw Zbigniew/Zbigniew",
    ),
    (
        "Nguyễn/Nguyen Trần/Tran Phạm/Pham Đặng/Dang Huỳnh/Huynh Vũ/Vu",
        "Hằng/Hang Lệ/Le Ngọc/Ngoc Thủy/Thuy",
        "Dũng/Dung Hiếu/Hieu Quốc/Quoc Tuấn/Tuan",
    ),
    (
        "王/Wang 陈/Chen 赵/Zhao 林/Lin 周/Zhou 许/Xu",
        "秀英/Xiuying 丽华/Lihua 雨桐/Yutong",
        "志强/Zhiqiang 子轩/Zixuan 建国/Jianguo",
    ),
    (
        "佐藤/Sato 鈴木/Suzuki 高橋/Takahashi 渡辺/Watanabe 中村/Nakamura",
        "美咲/Misaki 陽菜/Hina 結衣/Yui",
        "大翔/Hiroto 蓮/Ren 健太/Kenta",
    ),
    (
        "김/Kim 이/Lee 박/Park 최/Choi 정/Jung",
        "서연/Seoyeon 지우/Jiwoo 하은/Haeun",
        "민준/Minjun 도윤/Doyun 현우/Hyunwoo",
    ),
    (
        "Иванова/Ivanova Кузнецов/Kuznetsov Соколова/Sokolova Щербак/Shcherbak Юрьева/Yuryeva",
        "Анна/Anna Ксения/Kseniya Людмила/Lyudmila",
        "Борис/Boris Михаил/Mikhail Юрий/Yuri",
    ),
    (
        "Παπαδάκης/Papadakis Νικολάου/Nikolaou Ζαχαρίας/Zacharias Θεοδώρου/Theodorou",
        "Ελένη/Eleni Χρυσούλα/Chrysoula Φωτεινή/Foteini",
        "Αλέξανδρος/Alexandros Γιώργος/Giorgos Ξενοφών/Xenofon",
    ),
    (
        "حداد/Haddad الخطيب/Alkhatib منصور/Mansour ناصر/Nasser",
        "ليلى/Layla نور/Nour هدى/Huda",
        "خالد/Khalid يوسف/Yousef عمر/Omar",
    ),
    (
        "शर्मा/Sharma पटेल/Patel वर्मा/Verma गुप्ता/Gupta",
        "प्रिया/Priya आशा/Asha मीना/Meena",
        "अर्जुन/Arjun रवि/Ravi विकास/Vikas",
    ),
    (
        "O'Hara D'Angelo St.\u00a0Clair Ng Wu Smith-Jones van\u00a0der\u00a0Berg McAllister",
        "Mary-Kate Siân Zoë Io",
        "Jean-Luc Bo T.J. Óscar",
    ),
)  # fmt: skip
_WEIGHTS = (30, 12, 8, 5, 5, 6, 4, 4, 5, 3, 4, 6, 8)

_STREETS = "Alder Birch Cedar Dogwood Elm Foxglove Garnet Hawthorn Ivy Juniper Laurel Maple Orchard Prospect Willow"
_WAYS = "Street Avenue Lane Road Court Drive"

# city, state, first three digits of its postal codes, area code; 555-01xx numbers belong to nobody
CITIES = (
    ("Springfield", "IL", "627", "217"),
    ("Portland", "OR", "972", "503"),
    ("Madison", "WI", "537", "608"),
    ("Durham", "NC", "277", "919"),
    ("Santa Fe", "NM", "875", "505"),
    ("Burlington", "VT", "054", "802"),
)

# identifier, family, given; the identifiers have the form of an NPI and belong to nobody
CLINICIANS = (
    ("1000000012", "Okafor", "Ada"),
    ("1000000020", "Lindqvist", "Per"),
    ("1000000038", "Marchetti", "Gina"),
    ("1000000046", "Tanaka", "Jun"),
    ("1000000053", "Abernathy", "Rose"),
    ("1000000061", "Castellanos", "Iván"),
    ("1000000079", "Whitlock", "Sam"),
)


def draw_name(random: Random, sex: str) -> Name:
    """A name for somebody of administrative sex F or M (others get either)."""
    families, women, men = random.choices(_POOLS, _WEIGHTS)[0]
    given = women if sex == "F" else men if sex == "M" else random.choice((women, men))
    own_family, latin_family = _forms(random.choice(families.split(" ")))
    own_given, latin_given = _forms(random.choice(given.split(" ")))
    return Name(own_family, own_given, latin_family, latin_given)


def draw_street(random: Random) -> str:
    """`42 Maple Lane`."""
    return f"{random.randrange(1, 980)} {random.choice(_STREETS.split())} {random.choice(_WAYS.split())}"


def _forms(entry: str) -> tuple[str, str]:
    own, _, latin = entry.replace("\u00a0", " ").partition("/")
    return own, latin or own
