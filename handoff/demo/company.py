"""What the simulated company sells, where its leads come from, and who its customers are. Tables, and draws from them."""

from decimal import Decimal
from random import Random
from typing import Final, Literal, NamedTuple

from events.facts import SourceKind
from events.values import Price

CURRENCY: Final = "EUR"
EURO: Final = 100
"""In minor units."""

CRM: Final = "/crm"
"""The ``ce_source`` of the sales system; so are those of the others below."""
WEBSITE: Final = "/website"
WEBINARS: Final = "/webinars"
PARTNERS: Final = "/partner-portal"
ACCOUNTING: Final = "/accounting"
MAILING: Final = "/mailing"
PHONES: Final = "/rep-phones"


class Origin(NamedTuple):
    """Where leads come from. ``share`` of all leads; ``luck``: how much better than usual they turn out."""

    name: str
    kind: SourceKind
    system: str
    share: float
    luck: float
    has_campaigns: bool = False


class Country(NamedTuple):
    """``offset``: local time in hours before UTC; ``forms``: what a company's name ends with."""

    code: str
    share: float
    offset: int
    regions: tuple[str, ...]
    forms: tuple[str, ...]


class Product(NamedTuple):
    """``units``: the least and the most that a small company buys at once; larger ones take more."""

    name: str
    price: int
    units: tuple[int, int]
    share: float


class Size(NamedTuple):
    """``factor``: how much more is bought than by a small company; ``patience``: how much longer a decision takes."""

    share: float
    employees: tuple[int, int]
    factor: float
    patience: float


ORIGINS: Final = (
    Origin("website", "marketing", WEBSITE, 0.30, 0.9),
    Origin("webinar", "marketing", WEBINARS, 0.16, 1.05, has_campaigns=True),
    Origin("newsletter", "marketing", MAILING, 0.14, 0.7, has_campaigns=True),
    Origin("trade fair", "marketing", WEBSITE, 0.12, 1.1, has_campaigns=True),
    Origin("cold call", "sales", CRM, 0.12, 0.6),
    Origin("referral", "sales", CRM, 0.08, 1.6),
    Origin("partner", "partner", PARTNERS, 0.08, 1.3),
)

COUNTRIES: Final = (
    Country("DE", 0.17, 1, ("Bavaria", "Berlin", "Hesse", "Saxony"), ("GmbH", "AG", "KG")),
    Country("GB", 0.12, 0, ("England", "Scotland", "Wales"), ("Ltd", "plc")),
    Country("FR", 0.09, 1, ("Bretagne", "Occitanie", "Normandie"), ("SA", "SARL")),
    Country("IT", 0.06, 1, ("Lombardia", "Veneto", "Lazio"), ("Srl", "SpA")),
    Country("NL", 0.05, 1, ("Utrecht", "Limburg"), ("BV",)),
    Country("ES", 0.05, 1, ("Navarra", "Galicia"), ("SL",)),
    Country("CH", 0.04, 1, ("Bern", "Vaud"), ("AG",)),
    Country("AT", 0.03, 1, ("Tirol", "Wien"), ("GmbH",)),
    Country("SE", 0.03, 1, ("Skåne", "Uppsala"), ("AB",)),
    Country("PL", 0.03, 1, ("Mazowsze", "Silesia"), ("SA",)),
    Country("US", 0.15, -6, ("California", "Ohio", "Texas", "New York"), ("Inc.", "LLC", "Corp.")),
    Country("CA", 0.04, -5, ("Ontario", "Quebec"), ("Inc.",)),
    Country("BR", 0.02, -3, ("Bahia", "Paraná"), ("Ltda",)),
    Country("JP", 0.04, 9, ("Kanto", "Kansai"), ("KK",)),
    Country("AU", 0.03, 10, ("Victoria", "Queensland"), ("Pty Ltd",)),
    Country("SG", 0.02, 8, ("Central",), ("Pte Ltd",)),
    Country("ZA", 0.02, 2, ("Gauteng",), ("(Pty) Ltd",)),
    Country("AE", 0.01, 4, ("Dubai",), ("LLC",)),
)
"""The last ones are in no territory of the sample rules: they go to the default."""

PRODUCTS: Final = (
    Product("Gauge", 320 * EURO, (4, 25), 0.45),
    Product("Gauge Pro", 890 * EURO, (3, 18), 0.30),
    Product("Fleet", 65 * EURO, (30, 240), 0.17),
    Product("Care Plan", 1_450 * EURO, (1, 6), 0.08),
)

SIZES: Final = (
    Size(0.66, (4, 199), 1.0, 1.0),
    Size(0.25, (200, 999), 2.2, 1.3),
    Size(0.09, (1000, 24_000), 5.5, 1.9),
)

INDUSTRIES: Final = {
    "Foods": "food",
    "Dairy": "food",
    "Logistics": "logistics",
    "Freight": "logistics",
    "Pharma": "health care",
    "Clinics": "health care",
    "Retail": "retail",
    "Stores": "retail",
    "Motors": "manufacturing",
    "Tools": "manufacturing",
    "Robotics": "manufacturing",
    "Energy": "utilities",
    "Labs": "research",
    "Software": "software",
}
"""The second word of a company's name says what it does."""
FIRST_WORDS: Final = (
    *("Alder", "Amber", "Anchor", "Aspen", "Birch", "Bright", "Castle", "Cedar", "Cobalt", "Copper", "Crown", "Delta", "Eagle"),
    *("Falcon", "Fjord", "Garnet", "Granite", "Harbor", "Hazel", "Indigo", "Juniper", "Kestrel", "Lark", "Linden", "Maple"),
    *("Meadow", "Mistral", "Nimbus", "North", "Oak", "Onyx", "Orchid", "Pearl", "Pine", "Quartz", "Raven", "River", "Sable"),
    *("Summit", "Thistle", "Topaz", "Umber", "Vale", "Violet", "Willow", "Zephyr"),
)
GIVEN_NAMES: Final = ("Ada", "Ana", "Björn", "Chloé", "Daria", "Emil", "Femke", "George", "Hana", "Ivan", "Jun", "Kofi", "Lena")
FAMILY_NAMES: Final = ("Adler", "Brown", "Costa", "Duval", "Eriksen", "Ferrari", "Garcia", "Huber", "Ito", "Jansen", "Kim", "Lopez")
TITLES: Final = ("Head of Operations", "Purchasing", "Plant Manager", "CTO", "Managing Director", "Quality Manager")

TALKS: Final[tuple[Literal["call", "email", "meeting"], ...]] = ("call", "email", "meeting")
NOT_A_LEAD: Final = ("no budget", "no need", "student", "wrong contact", "competitor")
NOT_NOW: Final = ("not now", "budget next year", "waits for a reorganisation")
LOST: Final = (("price", 0.34), ("competitor", 0.26), ("no decision", 0.24), ("missing feature", 0.16))
COMPETITORS: Final = ("Globex", "Initech", "Umbra Systems")
GIVEN_BACK: Final = ("on holiday", "knows the customer privately", "too many leads")


class Company(NamedTuple):
    """A customer to be."""

    name: str
    industry: str
    country: Country
    region: str
    size: Size
    employees: int
    contact: str
    email: str
    title: str


def draw_company(rng: Random) -> Company:
    """A company that there might be."""
    country = rng.choices(COUNTRIES, [country.share for country in COUNTRIES])[0]
    size = rng.choices(SIZES, [size.share for size in SIZES])[0]
    first, second = rng.choice(FIRST_WORDS), rng.choice(list(INDUSTRIES))
    given, family = rng.choice(GIVEN_NAMES), rng.choice(FAMILY_NAMES)
    low, high = size.employees
    return Company(
        name=f"{first} {second} {rng.choice(country.forms)}",
        industry=INDUSTRIES[second],
        country=country,
        region=rng.choice(country.regions),
        size=size,
        employees=low + int((high - low) * rng.random() ** 2),
        contact=f"{given} {family}",
        email=f"{family}@{first}-{second}.example".lower(),
        title=rng.choice(TITLES),
    )


def draw_origin(rng: Random) -> Origin:
    """Where a lead comes from."""
    return rng.choices(ORIGINS, [origin.share for origin in ORIGINS])[0]


def draw_product(rng: Random) -> Product:
    """What is asked for."""
    return rng.choices(PRODUCTS, [product.share for product in PRODUCTS])[0]


def draw_price(rng: Random, product: Product, size: Size) -> Price:
    """What a company of a size may buy of a product for."""
    least, most = product.units
    units = (least + (most - least) * rng.random() ** 1.7) * size.factor
    return euros(max(1, round(units)) * product.price // EURO)


def draw_loss(rng: Random) -> tuple[str, str | None]:
    """Why a deal is lost, and to whom."""
    reason = rng.choices([reason for reason, _ in LOST], [share for _, share in LOST])[0]
    return reason, rng.choice(COMPETITORS) if reason in ("competitor", "price") and rng.random() < 0.6 else None


def euros(amount: int) -> Price:
    """So many of the company's currency."""
    return Price(amount=Decimal(amount), currency=CURRENCY)


def share_of(price: Price, fraction: float) -> Price:
    """Part of a price, in whole currency units."""
    return euros(round(price.minor * fraction / EURO))
