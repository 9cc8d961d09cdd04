"""Configuration: what wins, what follows from what, and sentences for what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker.settings import PATHS, Settings, load_settings, management_url_beside, without_credentials
from schemas.problem import Problem

ADDRESSES = {"AMQP_URL": "amqp://u:secret@rabbit:5673/x", "DATABASE_URL": "postgresql://u:secret@pg/x"}


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AMQP_URL", "MANAGEMENT_URL", "DATABASE_URL", "AGENCY_AMQP_URL", "HOME", "CONFIG"):
        monkeypatch.delenv(f"LIENTHONG_{name}", raising=False)


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, url in ADDRESSES.items():
        monkeypatch.setenv(f"LIENTHONG_{name}", url)


def problem_with(path: Path | None = None) -> str:
    with pytest.raises(Problem) as caught:
        load_settings(path)
    return caught.value.diagnostics()


def test_without_any_address_a_person_is_told_how_to_get_servers() -> None:
    assert "lienthong services up" in problem_with()


@pytest.mark.usefixtures("addresses")
def test_what_follows_from_an_address_need_not_be_said() -> None:
    settings = load_settings()
    assert settings.management_url == "http://u:secret@rabbit:15672"
    assert settings.agency_amqp_url == "amqp://rabbit:5673/x"
    assert settings.key_file == Path(".local/exchange/keys/broker.key")


@pytest.mark.usefixtures("addresses")
def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lienthong.toml").write_text('batch_count = 7\nbroker_code = "LT.TOML"\n')
    monkeypatch.setenv("LIENTHONG_BATCH_COUNT", "9")
    settings = load_settings()
    assert (settings.batch_count, settings.broker_code) == (9, "LT.TOML")


def test_private_servers_are_found_where_services_up_left_them() -> None:
    endpoints = {"amqp_url": "amqp://a:b@127.0.0.1:1/l", "database_url": "postgresql://a:b@127.0.0.1:2/l"}
    Path(".local").mkdir()
    Path(".local/services.json").write_text(json.dumps({"endpoints": endpoints | {"management_url": "http://m:3"}}))
    settings = load_settings()
    assert settings.amqp_url == endpoints["amqp_url"]
    assert settings.management_url == "http://m:3"


def test_a_given_broker_is_not_managed_at_the_private_ones_address(monkeypatch: pytest.MonkeyPatch) -> None:
    test_private_servers_are_found_where_services_up_left_them()
    monkeypatch.setenv("LIENTHONG_AMQP_URL", "amqp://u:p@elsewhere/x")
    assert load_settings().management_url == "http://u:p@elsewhere:15672"


@pytest.mark.usefixtures("addresses")
def test_paths_in_the_file_are_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "l.toml").write_text('home = "exchange"\n')
    settings = load_settings(tmp_path / "site" / "l.toml")
    assert settings.content_dir == tmp_path / "site" / "exchange" / "content"


@pytest.mark.usefixtures("addresses")
def test_one_level_can_be_given_another_type_of_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_MAILBOX_TYPE_BY_LEVEL", '{"commune": "quorum"}')
    types = load_settings().mailbox_type_by_level
    assert (types["commune"], types["district"], types["hub"]) == ("quorum", "classic", "quorum")


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("batch_cuont = 3", "batch_cuont"),
        ("batch_count = 0", "batch_count 0"),
        ("redelivery_backoff_minutes = []", "redelivery_backoff_minutes"),
        ('mailbox_type_by_level = {village = "quorum"}', "village"),
        ("= 3", "TOML"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(text: str, named: str) -> None:
    Path("lienthong.toml").write_text(text)
    assert named in problem_with()


@pytest.mark.usefixtures("addresses")
def test_every_path_in_the_file_is_beside_the_file() -> None:
    of_paths = {name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)}
    assert of_paths == set(PATHS)


@pytest.mark.usefixtures("addresses")
def test_a_mistyped_name_in_the_file_names_the_nearest_setting() -> None:
    Path("lienthong.toml").write_text("keeper_lease = 3\n")
    said = problem_with()
    assert "lienthong.toml has an unknown setting 'keeper_lease'" in said
    assert "keeper_lease_seconds" in said


@pytest.mark.usefixtures("addresses")
def test_a_name_like_no_other_suggests_nothing() -> None:
    Path("lienthong.toml").write_text("zzz = 3\n")
    assert "such as" not in problem_with()


@pytest.mark.usefixtures("addresses")
def test_a_mistyped_name_in_the_environment_is_refused_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_BATCH_CUONT", "3")
    said = problem_with()
    assert "LIENTHONG_BATCH_CUONT" in said
    assert "LIENTHONG_BATCH_COUNT" in said


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize(
    "name",
    [
        "ACTOR",
        "AGENCY",
        "AGENCY_AMQP_PASSWORD",
        "AGENCY_KEY_PASSWORD",
        "AGENCY_MAIL_PASSWORD",
        "CHROMIUM",
        "DEBUG",
        "KEY_PASSWORD",
        "RABBITMQ_PROGRAMS",
        "SCREENSHOTS",
        "SERVICES_ROOT",
    ],
)
def test_variables_of_other_programs_are_no_mistyped_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"LIENTHONG_{name}", "x")
    load_settings()


@pytest.mark.parametrize(
    "url", ["http://u:secret@rabbit/x", "amqp://", "rabbit:5672", "amqp://u:secret@/x", "amqp://u:secret@rabbit:x/y"]
)
def test_a_bad_address_is_refused_without_showing_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_AMQP_URL", url)
    monkeypatch.setenv("LIENTHONG_DATABASE_URL", ADDRESSES["DATABASE_URL"])
    said = problem_with()
    assert "amqp_url" in said
    assert "secret" not in said


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    assert "does not exist" in problem_with(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("amqp", "management"),
    [
        ("amqp://u:p@h:5672/v", "http://u:p@h:15672"),
        ("amqps://u:p@h/v", "https://u:p@h:15672"),
        ("amqp://u:p@[::1]:5672/", "http://u:p@[::1]:15672"),
        ("amqp://h", "http://h:15672"),
    ],
)
def test_the_management_api_is_beside_the_broker(amqp: str, management: str) -> None:
    assert management_url_beside(amqp) == management


def test_an_address_can_be_shown_without_its_password() -> None:
    assert without_credentials("amqp://u:p%40x@h:1/v") == "amqp://h:1/v"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GATEWAY_PORT", "abc", "a valid integer"),
        ("LOG_PROMISE_SECONDS", "-3", "a value greater than 0"),
        ("DATABASE_URL", "nonsense", "an address of the form postgresql://user:password@host:port/name"),
        ("GATEWAY_METRICS_FROM", '["10.0.0.300"]', "a network such as 10.0.0.0/8"),
    ],
)
def test_what_was_expected_of_a_setting_is_said_in_our_words(
    addresses: None, name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LIENTHONG_{name}", value)
    with pytest.raises(Problem) as told:
        load_settings()
    assert told.value.expected == expected
    assert f"LIENTHONG_{name}" in told.value.found
