"""What may be set, and what the words mean."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from handlens.dataset.download import REASONS, DownloadSettings, HostSettings, reason_of


def test_the_default_is_polite_and_asks_nobody() -> None:
    settings = DownloadSettings()
    assert (settings.rate_of("example.org"), settings.concurrency_of("example.org")) == (1.0, 1)
    assert not settings.acknowledges("example.org")
    assert not settings.allow_private
    assert settings.contact is None


def test_a_host_has_its_own_settings_or_everybodys() -> None:
    settings = DownloadSettings.model_validate(
        {
            "hosts": {
                "Upload.Wikimedia.org": {"terms_acknowledged": True, "rate": 2, "concurrency": 2},
                "plain.example": {"terms_acknowledged": True},
                "silent.example": {"rate": 0},
            }
        }
    )
    wikimedia = "upload.wikimedia.org"
    assert (settings.rate_of(wikimedia), settings.concurrency_of(wikimedia)) == (2, 2)
    assert (settings.rate_of("plain.example"), settings.concurrency_of("plain.example")) == (1, 1)
    assert settings.rate_of("silent.example") == 0
    assert [host for host in settings.hosts if settings.acknowledges(host)] == [wikimedia, "plain.example"]


@pytest.mark.parametrize("contact", ["me@example.org", "https://example.org/about-our-crawler"])
def test_a_contact_is_an_address(contact: str) -> None:
    assert DownloadSettings(contact=contact).user_agent.endswith(f" (+{contact})")


@pytest.mark.parametrize(
    "wrong",
    [
        {"contact": "me"},
        {"contact": "me@example.org\r\nX-Evil: 1"},
        {"contact": "Mozilla/5.0 (X11)"},
        {"contact": ""},
        {"hosts": {"https://example.org/": {}}},
        {"hosts": {"example.org": {"acknowledged": True}}},
        {"rate": -1},
        {"rate": float("inf")},
        {"concurrency": 0},
        {"max_attempts": 0},
        {"timeout": 0},
        {"user_agent": "Mozilla/5.0"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DownloadSettings.model_validate(wrong)


def test_the_rules_are_what_decides_about_rows() -> None:
    settings = DownloadSettings(contact="me@example.org")
    acknowledged = {"example.org": HostSettings(terms_acknowledged=True)}
    assert settings.rules() == settings.model_copy(update={"rate": 9.0, "contact": None, "timeout": 1.0}).rules()
    assert settings.rules() != settings.model_copy(update={"hosts": acknowledged}).rules()
    assert settings.rules() != settings.model_copy(update={"max_bytes": 1}).rules()


def test_every_reason_is_one_word_and_has_a_meaning() -> None:
    for word, reason in REASONS.items():
        assert word == word.lower()
        assert word.replace("-", "").isalpha()
        assert reason.meaning
    assert reason_of("http-404").again == "never"
    assert reason_of("http-403").again == "next-run"
    assert reason_of("http-429").again == reason_of("http-503").again == "this-run"
    with pytest.raises(KeyError):
        reason_of("unknown")
