"""The answers over HTTP: their shapes, what may be asked, what is refused."""

from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from events.bus.progress import Progress
from events.facts import Split
from events.published import Document
from events.record import Message
from events.reference import Rep
from tests.forecast.harness import Forecast, change, group, image

JAN, FEB, MAR = "2017-01-10T09:00:00Z", "2017-02-10T09:00:00Z", "2017-03-10T09:00:00Z"
BY = ("stage", "status", "rep", "team", "region", "customer_region", "product", "source", "quarter")


@pytest.fixture
def company(forecast: Forecast) -> Forecast:
    """Four deals of three customers: two open, one won, one lost; a directory that changes in March."""
    forecast.reps(
        1,
        "2016-01-01T00:00:00Z",
        [Rep(rep_id="ann", name="Ann", team="A", region="West"), Rep(rep_id="bob", team="B", region="East")],
    )
    forecast.reps(
        2,
        "2017-03-01T00:00:00Z",
        [Rep(rep_id="ann", name="Ann", team="C", region="West"), Rep(rep_id="bob", team="B", region="East")],
    )
    forecast.status("acme", JAN, "prospect", "In Discussion")
    forecast.status("globex", JAN, "prospect", "In Discussion")
    basics: dict[str, Any] = {"owner": "ann", "product": "GTX Pro", "source": "webinar", "region": "Bavaria"}
    won = image(90, "won", closed_at=MAR, **basics)
    forecast.deal("acme", "opportunity:1", (JAN, image(100, close_date=date(2017, 4, 30), **basics)), (MAR, won))
    forecast.deal("acme", "opportunity:2", (FEB, image("50.50", probability=50, close_date=date(2017, 5, 31), owner="bob")))
    forecast.deal("globex", "opportunity:3", (JAN, image(7)))
    forecast.deal(
        "initech",
        "opportunity:4",
        (JAN, image(5, owner="bob")),
        (FEB, image(5, "lost", closed_at=FEB, owner="bob", reason="price")),
    )
    forecast.status("acme", MAR, "customer", "Closed Won")
    forecast.settle()
    return forecast


# ------------------------------------------------------------------------------------------ pipeline


def test_the_pipeline_has_the_agreed_shape(company: Forecast) -> None:
    body = company.get("/v1/pipeline")
    assert body == {
        "as_of": "2018-01-15T12:00:00Z",
        "known_at": None,
        "position": 7,
        "currency": "USD",
        "by": None,
        "without_amount": 0,
        "other_currencies": [],
        "totals": {
            "open": {"count": 2, "amount": "57.50", "weighted": "26.65"},
            "won": {"count": 1, "amount": "90.00"},
            "lost": {"count": 1, "amount": "5.00"},
        },
        "groups": [],
    }


@pytest.mark.parametrize("by", BY)
def test_groups_add_up_to_the_totals(company: Forecast, by: str) -> None:
    body = company.get("/v1/pipeline", by=by)
    assert body["by"] == by
    for state, total in body["totals"].items():
        assert sum(each[state]["count"] for each in body["groups"]) == total["count"]
        assert sum(float(each[state]["amount"]) for each in body["groups"]) == float(total["amount"])
    assert all(each["label"] for each in body["groups"])


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("stage", ["prospect", "customer", None]),
        ("status", ["Closed Lost", "Closed Won", "In Discussion"]),
        ("rep", ["ann", "bob", None]),
        ("team", ["B", "C", None]),
        ("region", ["East", "West", None]),
        ("customer_region", ["Bavaria", None]),
        ("product", ["GTX Pro", None]),
        ("source", ["webinar", None]),
        ("quarter", ["2017-Q1", "2017-Q2", None]),
    ],
)
def test_keys_are_what_is_known(company: Forecast, by: str, keys: list[str | None]) -> None:
    assert [each["key"] for each in company.get("/v1/pipeline", by=by)["groups"]] == keys


def test_labels_are_for_people(company: Forecast) -> None:
    body = company.get("/v1/pipeline", by="rep")
    assert [(each["key"], each["label"]) for each in body["groups"]] == [("ann", "Ann"), ("bob", "bob"), (None, "no owner")]


def test_team_is_that_of_the_directory_in_force(company: Forecast) -> None:
    assert group(company.get("/v1/pipeline", by="team", as_of="2017-02-28"), "A")["open"]["count"] == 1
    assert group(company.get("/v1/pipeline", by="team", as_of="2017-03-01"), "C")["open"]["count"] == 1


def test_as_of_is_inclusive(company: Forecast) -> None:
    def won(as_of: str) -> int:
        count: int = company.get("/v1/pipeline", as_of=as_of)["totals"]["won"]["count"]
        return count

    assert won("2017-03-10T08:59:59.999999999Z") == 0
    assert won("2017-03-10T09:00:00Z") == 1
    assert won("2017-03-10T10:00:00+01:00") == 1
    assert won("2017-03-09") == 0
    assert won("2017-03-10") == 1
    assert company.get("/v1/pipeline", as_of="2017-03-31")["as_of"] == "2017-03-31T23:59:59.999999999Z"
    assert company.get("/v1/pipeline", as_of="2200-01-01")["totals"]["won"]["count"] == 1


def test_a_day_ends_where_the_business_is(forecast: Forecast) -> None:
    forecast.settings = forecast.settings.model_copy(update={"time_zone": "America/New_York"})
    forecast.crash()
    forecast.deal("acme", "opportunity:1", ("2017-04-01T03:00:00Z", image(1, "won", closed_at="2017-04-01T03:00:00Z")))
    forecast.settle()
    assert forecast.get("/v1/pipeline", as_of="2017-03-31")["totals"]["won"]["count"] == 1
    assert [each["key"] for each in forecast.get("/v1/pipeline", by="quarter")["groups"]] == ["2017-Q1"]
    forecast.settings = forecast.settings.model_copy(update={"time_zone": "UTC"})
    forecast.crash()
    assert [each["key"] for each in forecast.get("/v1/pipeline", by="quarter")["groups"]] == ["2017-Q2"]
    assert forecast.get("/v1/forecast", period="2017-Q1")["won"]["count"] == 0


def test_known_at_is_inclusive_and_leaves_out_what_came_later(company: Forecast) -> None:
    company.deal("globex", "opportunity:3", (JAN, image(9)), recorded="2017-06-01T00:00:00Z")
    company.settle()
    asked = {"as_of": "2017-01-31"}
    assert company.get("/v1/pipeline", **asked, known_at="2017-05-31")["totals"]["open"]["amount"] == "112.00"
    assert company.get("/v1/pipeline", **asked, known_at="2017-06-01T00:00:00Z")["totals"]["open"]["amount"] == "114.00"
    assert company.get("/v1/pipeline", **asked)["totals"]["open"]["amount"] == "114.00"
    assert company.get("/v1/pipeline", **asked, known_at="2017-05-31")["known_at"] == "2017-05-31T23:59:59.999999999Z"


# ---------------------------------------------------------------------------------------- currencies


def test_other_currencies_are_named_and_never_mixed(company: Forecast) -> None:
    company.deal("acme", "opportunity:9", (JAN, image("1.25", currency="EUR", probability=40)))
    company.deal("acme", "opportunity:10", (JAN, image(None)))
    company.settle()
    body = company.get("/v1/pipeline")
    assert (body["currency"], body["without_amount"], body["totals"]["open"]["count"]) == ("USD", 1, 3)
    assert body["other_currencies"] == [
        {
            "currency": "EUR",
            "open": {"count": 1, "amount": "1.25", "weighted": "0.50"},
            "won": {"count": 0, "amount": "0.00"},
            "lost": {"count": 0, "amount": "0.00"},
        }
    ]
    euros = company.get("/v1/pipeline", currency="EUR")
    assert (euros["currency"], euros["totals"]["open"]["amount"]) == ("EUR", "1.25")
    assert [each["currency"] for each in euros["other_currencies"]] == ["USD"]


def test_the_setting_names_the_currency_of_answers(company: Forecast) -> None:
    company.settings = company.settings.model_copy(update={"currency": "JPY"})
    company.crash()
    body = company.get("/v1/pipeline")
    assert (body["currency"], body["totals"]["open"]) == ("JPY", {"count": 0, "amount": "0", "weighted": "0"})


def test_nothing_is_a_good_answer(forecast: Forecast) -> None:
    body = forecast.get("/v1/pipeline", by="stage")
    assert (body["currency"], body["groups"], body["totals"]["won"]) == (None, [], {"count": 0, "amount": "0.00"})
    assert forecast.get("/v1/deals")["deals"] == []


def test_sums_beyond_64_bits_are_exact(forecast: Forecast) -> None:
    largest = "9999999999999.99"
    for number in range(200):
        forecast.deal("acme", f"opportunity:{number}", (JAN, image(largest, probability=99)))
    forecast.settle()
    found = forecast.get("/v1/pipeline")["totals"]["open"]
    assert found["amount"] == "1999999999999998.00"
    for number in range(10):
        forecast.deal("globex", f"opportunity:{number}", (JAN, image("-9999999999999.9999", "won", currency="CLF", closed_at=JAN)))
    forecast.settle()
    assert forecast.get("/v1/pipeline", currency="CLF")["totals"]["won"]["amount"] == "-99999999999999.9990"


# ------------------------------------------------------------------------------------------ forecast


def test_the_forecast_of_a_period(company: Forecast) -> None:
    body = company.get("/v1/forecast", period="2017-Q2")
    assert {name: body[name] for name in ("period", "first", "last", "currency", "min_probability", "by", "groups")} == {
        "period": "2017-Q2",
        "first": "2017-04-01",
        "last": "2017-06-30",
        "currency": "USD",
        "min_probability": 0,
        "by": None,
        "groups": [],
    }
    assert body["won"] == {"count": 0, "amount": "0.00"}
    assert body["open"] == {"count": 1, "amount": "50.50", "weighted": "25.25"}
    assert body["categories"] == {"worst": "0.00", "likely": "50.50", "upside": "50.50"}
    assert body["weighted"] == "25.25"


def test_what_is_won_is_in_every_category(company: Forecast) -> None:
    body = company.get("/v1/forecast", period="2017")
    assert body["won"] == {"count": 1, "amount": "90.00"}
    assert body["categories"] == {"worst": "90.00", "likely": "140.50", "upside": "140.50"}
    assert body["weighted"] == "115.25"


@pytest.mark.parametrize("by", ["rep", "team", "region"])
def test_the_forecast_by_group_adds_up(company: Forecast, by: str) -> None:
    body = company.get("/v1/forecast", period="2017", by=by)
    assert len(body["groups"]) == 2
    for name in ("worst", "likely", "upside"):
        assert sum(float(each["categories"][name]) for each in body["groups"]) == float(body["categories"][name])
    assert sum(each["won"]["count"] + each["open"]["count"] for each in body["groups"]) == 2


def test_the_forecast_as_it_was(company: Forecast) -> None:
    body = company.get("/v1/forecast", period="2017-Q2", as_of="2017-02-28")
    assert body["open"] == {"count": 2, "amount": "150.50", "weighted": "45.25"}
    assert company.get("/v1/forecast", period="2017-Q2", as_of="2017-02-28", known_at=JAN)["open"]["amount"] == "100.00"


def test_every_excluded_deal_is_listed_with_its_rule(company: Forecast) -> None:
    body = company.get("/v1/forecast", period="2017-Q2", min_probability=60)
    assert body["open"]["count"] == 0
    excluded = {each["rule"]: (each["count"], each["amount"]) for each in body["excluded"]}
    assert excluded == {
        "below_minimum_probability": (1, "50.50"),
        "lost": (1, "5.00"),
        "no_close_date": (1, "7.00"),
        "outside_period": (1, "90.00"),
    }
    for each in body["excluded"]:
        asked = urlsplit(each["deals"])
        listed = company.get(asked.path, **dict(parse_qsl(asked.query)))["deals"]
        assert [deal["rule"] for deal in listed] == [each["rule"]] * each["count"]
        assert sum(float(deal["amount"]) for deal in listed) == float(each["amount"])
        assert each["explanation"]


def test_the_setting_is_the_minimum_where_none_is_asked(company: Forecast) -> None:
    company.settings = company.settings.model_copy(update={"minimum_probability": 60})
    company.crash()
    assert company.get("/v1/forecast", period="2017-Q2")["open"]["count"] == 0
    assert company.get("/v1/forecast", period="2017-Q2", min_probability=50)["open"]["count"] == 1
    assert company.get("/v1/pipeline")["totals"]["open"]["count"] == 2


# --------------------------------------------------------------------------------------------- deals


def test_a_figure_leads_to_its_documents(company: Forecast) -> None:
    """For every grouping and group: the deals that are listed add up to the group's figures."""
    for by in BY:
        for each in company.get("/v1/pipeline", by=by)["groups"]:
            for state in ("open", "won", "lost"):
                listed = company.get("/v1/deals", by=by, key=each["key"] or "", state=state)["deals"]
                assert len(listed) == each[state]["count"], (by, each["key"], state)
                assert f"{sum(float(deal['amount']) for deal in listed):.2f}" == each[state]["amount"]


def test_a_deal_in_a_list(company: Forecast) -> None:
    (entry,) = company.get("/v1/deals", state="won", by="team", period="2017-Q1")["deals"]
    assert entry == {
        "customer_id": "acme",
        "deal_id": "opportunity:1",
        "state": "won",
        "status": "Closed Won",
        "probability": 100,
        "currency": "USD",
        "amount": "90.00",
        "owner": "ann",
        "close_date": None,
        "closed_at": MAR,
        "date": "2017-03-10",
        "key": "C",
        "rule": "counted",
    }


def test_pages_follow_each_other_without_gap_or_repeat(forecast: Forecast) -> None:
    expected = [(f"customer-{number % 7}", f"opportunity:{number:03}") for number in range(600)]
    for customer, deal_id in expected:
        forecast.deal(customer, deal_id, (JAN, image(1)))
    forecast.settle()
    found, cursor, pages = [], {}, 0
    while True:
        body = forecast.get("/v1/deals", limit=97, **cursor)
        found += [(deal["customer_id"], deal["deal_id"]) for deal in body["deals"]]
        pages += 1
        if body["next"] is None:
            break
        cursor = {"after": body["next"]}
    assert pages == 7
    assert found == sorted(expected)
    mine = [deal_id for customer, deal_id in sorted(expected) if customer == "customer-3"]
    first = forecast.get("/v1/deals", customer_id="customer-3", limit=50)
    second = forecast.get("/v1/deals", customer_id="customer-3", limit=50, after=first["next"])
    assert [deal["deal_id"] for deal in first["deals"] + second["deals"]] == mine
    assert second["next"] is None


def test_the_history_of_a_deal(forecast: Forecast) -> None:
    splits = (Split(rep_id="ann", percent=90), Split(rep_id="bob", percent=10))
    documents = (Document(kind="opportunity", id="a/b c", state="open"),)
    forecast.deal("acme", "opportunity:a/b c", (JAN, image(2000, splits=splits, documents=documents)), recorded=JAN)
    forecast.deal("acme", "opportunity:a/b c", (FEB, image(10, "won", closed_at=FEB)), recorded=MAR)
    forecast.settle()
    path = "/v1/deals/opportunity:a%2Fb%20c"
    body = forecast.get(path, customer_id="acme", as_of=JAN)
    assert body["image"]["documents"] == [{"kind": "opportunity", "id": "a/b c", "state": "open"}]
    assert body["shares"] == [
        {"rep_id": "ann", "percent": 90, "amount": "1800.00"},
        {"rep_id": "bob", "percent": 10, "amount": "200.00"},
    ]
    assert [(each["valid_from"], each["valid_to"], each["recorded_at"], each["image"]["state"]) for each in body["history"]] == [
        (JAN, FEB, MAR, "open"),
        (FEB, None, MAR, "won"),
    ]
    before = forecast.get(path, customer_id="acme", known_at=FEB)["history"]
    assert [(each["valid_from"], each["valid_to"], each["recorded_at"]) for each in before] == [(JAN, None, JAN)]
    assert forecast.get(path, customer_id="acme", as_of="2016-01-01")["image"] is None


def test_a_deal_that_is_not_known_is_a_problem(company: Forecast) -> None:
    response = company.http.get("/v1/deals/opportunity:1", params={"customer_id": "globex"})
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert "opportunity:1" in response.json()["detail"]
    assert company.http.get("/v1/deals/opportunity:1", params={"customer_id": "acme", "known_at": "2016-01-01"}).status_code == 404


def test_an_absorbed_deal_is_gone_but_was(company: Forecast) -> None:
    company.publish(company.deals("acme", change("opportunity:2"), recorded="2017-06-01T00:00:00Z"))
    company.settle()
    assert company.http.get("/v1/deals/opportunity:2", params={"customer_id": "acme"}).status_code == 404
    assert company.get("/v1/deals/opportunity:2", customer_id="acme", known_at="2017-05-01")["image"]["state"] == "open"


# ---------------------------------------------------------------------------------------------- CSV


def test_csv_has_the_same_numbers(company: Forecast) -> None:
    body, lines = company.get("/v1/pipeline", by="rep"), company.csv("/v1/pipeline", by="rep")
    assert [line["row"] for line in lines] == ["total", "group", "group", "group"]
    for part, line in zip([body["totals"], *body["groups"]], lines, strict=True):
        for state in ("open", "won", "lost"):
            assert (line[f"{state}_count"], line[f"{state}_amount"]) == (str(part[state]["count"]), part[state]["amount"])
        assert (line["as_of"], line["position"], line["currency"]) == (body["as_of"], "7", "USD")
    forecast_body, forecast_lines = company.get("/v1/forecast", period="2017"), company.csv("/v1/forecast", period="2017")
    assert [line["weighted"] for line in forecast_lines] == [forecast_body["weighted"]]
    assert forecast_lines[0]["likely"] == forecast_body["categories"]["likely"]
    assert len(company.csv("/v1/deals")) == 4


@pytest.mark.parametrize("owner", ["=1+1", "+1", "-1", "@x", "=cmd|' /C calc'!A0"])
def test_a_name_is_no_formula(forecast: Forecast, owner: str) -> None:
    forecast.deal("acme", "opportunity:1", (JAN, image("-5", "won", owner=owner, closed_at=JAN)))
    forecast.settle()
    group_line = forecast.csv("/v1/pipeline", by="rep")[1]
    assert (group_line["key"], group_line["won_amount"]) == (f"'{owner}", "-5.00")
    assert forecast.csv("/v1/deals")[0]["owner"] == f"'{owner}"


@pytest.mark.parametrize(
    ("accept", "told", "form"),
    [
        (None, None, "application/json"),
        ("*/*", None, "application/json"),
        ("text/csv", None, "text/csv"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", None, "application/json"),
        ("application/json;q=0.5, text/csv", None, "text/csv"),
        ("application/json, text/csv;q=0.5", None, "application/json"),
        ("text/csv", "json", "application/json"),
        ("application/json", "csv", "text/csv"),
        ("text/csv;q=nonsense", None, "application/json"),
    ],
)
def test_the_form_is_negotiated(company: Forecast, accept: str | None, told: str | None, form: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    response = company.http.get("/v1/pipeline", params={} if told is None else {"format": told}, headers=headers)
    assert response.headers["content-type"].startswith(form)
    assert response.headers["vary"] == "Accept"


# --------------------------------------------------------------------------------------------- ETag


def test_an_answer_is_sent_once(company: Forecast) -> None:
    first = company.http.get("/v1/pipeline", params={"by": "team"})
    tag = first.headers["etag"]
    assert tag.startswith('W/"')

    def status(params: dict[str, str], **headers: str) -> int:
        return company.http.get("/v1/pipeline", params=params, headers={"If-None-Match": tag, **headers}).status_code

    company.now = "2018-01-15T13:00:00Z"
    assert status({"by": "team"}) == 304
    assert status({"by": "rep"}) == 200
    assert status({"by": "team"}, Accept="text/csv") == 200
    assert company.http.get("/v1/pipeline", params={"by": "team"}, headers={"If-None-Match": f'"x", {tag}'}).status_code == 304
    company.reps(3, "2017-03-01T00:00:00Z", [Rep(rep_id="ann", team="D")])
    assert status({"by": "team"}) == 200
    tag = company.http.get("/v1/pipeline", params={"by": "team"}).headers["etag"]
    company.deal("acme", "opportunity:11", (JAN, image(1)))
    company.settle()
    assert status({"by": "team"}) == 200


def test_the_position_grows_with_every_record(company: Forecast) -> None:
    before = company.get("/v1/pipeline")["position"]
    company.deal("acme", "opportunity:11", (JAN, image(1)))
    company.settle()
    assert company.get("/v1/pipeline")["position"] == before + 1 == company.get("/v1/status")["position"]


# ------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("path", "parameters", "parameter", "said"),
    [
        ("/v1/pipeline", {"by": "colour"}, "by", "stage, status, rep, team, region, customer_region, product, source, quarter"),
        ("/v1/pipeline", {"by": ""}, "by", "must be one of"),
        ("/v1/pipeline", {"asof": "2017-03-31"}, "asof", "did you mean as_of?"),
        ("/v1/pipeline", {"period": "2017"}, "period", "as_of, known_at, by, currency, format"),
        ("/v1/pipeline", {"as_of": "yesterday"}, "as_of", "2017-03-31T18:00:00Z"),
        ("/v1/pipeline", {"as_of": "2017-02-30"}, "as_of", "2017-03-31"),
        ("/v1/pipeline", {"as_of": "2017-03-31T18:00:00"}, "as_of", "no offset"),
        ("/v1/pipeline", {"as_of": "2017-03-31T18:00:00 01:00"}, "as_of", "%2B"),
        ("/v1/pipeline", {"as_of": "9999-01-01"}, "as_of", "between"),
        ("/v1/pipeline", {"known_at": ""}, "known_at", "RFC 3339"),
        ("/v1/pipeline", {"currency": "usd"}, "currency", "[A-Z]"),
        ("/v1/pipeline", {"format": "xml"}, "format", "json, csv"),
        ("/v1/pipeline", [("by", "rep"), ("by", "team")], "by", "more than once"),
        ("/v1/forecast", {}, "period", "is required"),
        ("/v1/forecast", {"period": "2017-Q5"}, "period", "2017-Q2"),
        ("/v1/forecast", {"period": "2017", "by": "stage"}, "by", "rep, team, region"),
        ("/v1/forecast", {"period": "2017", "min_probability": "101"}, "min_probability", "100"),
        ("/v1/forecast", {"period": "2017", "min_probability": "half"}, "min_probability", "integer"),
        ("/v1/deals", {"limit": "501"}, "limit", "500"),
        ("/v1/deals", {"after": "nonsense"}, "after", "next"),
        ("/v1/deals", {"key": "ann"}, "key", "by"),
        ("/v1/deals", {"rule": "unlucky"}, "rule", "no_close_date"),
        ("/v1/deals", {"min_probability": "3"}, "min_probability", "period"),
        ("/v1/deals/opportunity:1", {}, "customer_id", "is required"),
        ("/v1/status", [("x", "1"), ("x", "2")], "x", "more than once"),
    ],
)
def test_a_wrong_parameter_is_a_problem(company: Forecast, path: str, parameters: Any, parameter: str, said: str) -> None:
    response = company.http.get(path, params=parameters)
    body = response.json()
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert {"type", "title", "status", "detail", "errors"} == set(body)
    (error,) = body["errors"]
    assert error["parameter"] == parameter
    assert said in error["detail"], error["detail"]


def test_what_does_not_exist_is_a_problem(company: Forecast) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("POST", "/v1/pipeline", 405)):
        response = company.http.request(method, path)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
        assert response.json()["status"] == status


# -------------------------------------------------------------------------------------------- health


def test_health(company: Forecast) -> None:
    assert company.http.get("/livez").status_code == 200
    response = company.http.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (200, True)
    assert [check["name"] for check in response.json()["checks"]] == ["bus", "directory", "database", "bugs"]
    status = company.get("/v1/status")
    assert {name: status[name] for name in ("service", "state", "lag", "lag_seconds", "position", "dead_letters")} == {
        "service": "forecast",
        "state": "running",
        "lag": 0,
        "lag_seconds": 0.0,
        "position": 7,
        "dead_letters": 0,
    }
    assert sum(status["positions"].values()) == 7


def test_what_is_taken_in_while_it_is_asked_for_is_not_told_as_unread(forecast: Forecast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or who waits for what is unread now would wait for the record after it."""
    forecast.status("acme", JAN, "prospect", "In Discussion")
    forecast.settle()
    progress = forecast.loop.progress

    def before() -> Progress:
        found = progress()
        for _ in range(5):
            forecast.loop.turn()
        return found

    monkeypatch.setattr(forecast.loop, "progress", before)
    forecast.status("acme", FEB, "prospect", "Proposal")
    status = forecast.get("/v1/status")
    assert (sum(status["positions"].values()), status["unread"], status["lag"]) == (2, {}, 1)


def test_not_ready_before_the_directory_is_read(forecast: Forecast) -> None:
    forecast.settle()
    forecast.directories._known = forecast.directories._known._replace(position=None)
    assert forecast.http.get("/readyz").status_code == 503
    response = forecast.http.get("/v1/pipeline", params={"by": "team"})
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert forecast.http.get("/v1/pipeline", params={"by": "rep"}).status_code == 200


def test_not_ready_while_the_bus_is_away(company: Forecast) -> None:
    company.bus.away = True
    company.loop.turn()
    response = company.http.get("/readyz")
    assert response.status_code == 503
    assert {check["name"] for check in response.json()["checks"] if not check["ok"]} == {"bus"}
    assert company.get("/v1/pipeline")["totals"]["won"]["count"] == 1


def test_lag_counts_the_directory(company: Forecast) -> None:
    company.bus.append(Message("crm.directory.v1", None, b"{}", partition=0))
    assert company.get("/v1/status")["lag"] == 1
    company.directories.refresh()
    assert company.get("/v1/status")["lag"] == 0


def test_metrics(company: Forecast) -> None:
    text = company.http.get("/metrics").text
    for line in (
        'handoff_events_consumed_total{outcome="applied",topic="crm.lifecycle.v1"} 7.0',
        "handoff_projection_position 7.0",
        "handoff_consumer_lag_records 0.0",
        'handoff_build_info{service="forecast",version="test"} 1.0',
    ):
        assert line in text


def test_the_description_names_every_resource(company: Forecast) -> None:
    paths = company.get("/openapi.json")["paths"]
    assert {"/v1/pipeline", "/v1/forecast", "/v1/deals", "/v1/deals/{deal_id}", "/v1/status", "/readyz"} <= set(paths)
    content = paths["/v1/pipeline"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/csv"}
