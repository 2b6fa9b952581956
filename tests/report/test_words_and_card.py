"""What a report says in words, and the model card."""

from __future__ import annotations

from typing import Any

import pytest
from some_report import EVIL, START, measured, report

from waystage.plugin import Section
from waystage.report.card import ASKED, card_of
from waystage.report.model import Measured
from waystage.report.words import number, span, summary


def said(*found: Measured, **more: Any) -> list[tuple[str, str]]:
    told = report(measurements=found, **more)
    return [(each.level, each.text) for each in told.summary]


def test_a_breach_is_said_first_with_value_limit_and_interval() -> None:
    (whole, ks) = said(measured(0, 0.1, "breach"), sections=())
    assert whole == ("breach", "credit/1 in PROD is beyond its limits: its one monitor tells a "
                               "breach.")  # fmt: skip
    assert ks == ("breach", "The separation of good from bad (KS) was 0.1 from 1 Jan 2026 to "
                  "30 Jan 2026: below its limit of 0.15. The data allow for 0.05 to 0.15 (95% "
                  "interval). Monitor “ks”.")  # fmt: skip


def test_what_is_well_is_said_to_be_within_its_warning_limit() -> None:
    whole, ks = said(measured(0, 0.42, "ok"), sections=())
    assert whole == ("ok", "credit/1 in PROD is within all its limits.")
    assert "within its warning limit (at least 0.3)" in ks[1]


def test_a_breach_that_only_warns_says_why() -> None:
    found = measured(0, 0.1, "warn", reason="breach within the cooldown of the last one")
    whole, ks = said(found, sections=())
    assert whole[0] == "warn"
    assert "below its warning limit of 0.3 (breach within the cooldown of the last one)" in ks[1]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("insufficient", "there was too little data (12 events)"),
     ("error", "it could not be measured (12 events)")],
)  # fmt: skip
def test_no_verdict_is_never_fine(verdict: str, words: str) -> None:
    whole, ks = said(measured(0, None, verdict, reason="12 events"), sections=())
    assert whole[0] == ks[0] == "unknown"
    assert words in ks[1]


def test_what_was_made_by_hand_is_not_the_newest_word() -> None:
    whole, _ = said(measured(0, 0.42, "ok"), measured(1, 0.1, "breach", by_hand="otto"),
                    sections=())  # fmt: skip
    assert whole[0] == "ok"


def test_another_version_s_breach_is_not_this_one_s() -> None:
    whole, _ = said(measured(0, 0.1, "breach", snapshot="credit/0"), sections=())
    assert whole[0] == "unknown"


def test_without_monitors_nothing_is_known() -> None:
    (whole,) = summary((), (), "credit/1", "PROD")
    assert whole.level == "unknown"


def test_few_known_outcomes_are_said() -> None:
    told = Section(id="maturity", title="t", about="few are known", facts={"coverage": 0.2},
                   missing="x")  # fmt: skip
    assert said(measured(0, 0.4, "ok"), sections=(told,))[-1] == ("unknown", "few are known")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.083333, "0.0833"), (1820.0, "1,820"), (0.0, "0"), (12345.67, "12,345.7"), (-0.5, "-0.5")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_windows_are_told_with_their_last_day_or_by_the_minute() -> None:
    assert span(START, START.replace(month=2)) == "1 Jan 2026 to 31 Jan 2026"
    assert "06:30" in span(START.replace(hour=6, minute=30), START.replace(month=2))


def test_the_card_has_the_sections_of_model_cards() -> None:
    titles = [part.title for part in card_of(report()).parts]
    assert titles == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
        "Governance",
    ]  # fmt: skip


def test_the_card_says_what_its_makers_said_and_what_they_did_not() -> None:
    text = card_of(report("For people")).markdown()
    assert "For people" in text
    missing = [each for each in ASKED if f"tag card.{each}".replace("_", "\\_") in text]
    assert missing == [each for each in ASKED if each != "intended_use"]
    assert f"sha256:{'2' * 64}" in text
    assert "| ks | 1 Apr 2026 to 30 Apr 2026 | – | – | – | insufficient |" in text


def test_names_in_markdown_are_only_text() -> None:
    text = card_of(report(EVIL)).markdown()
    assert "<" not in text
    assert "\\`x\\`" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") >= 3
