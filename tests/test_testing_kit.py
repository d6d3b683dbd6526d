"""The conformance kit as a user meets it: the built-ins pass, reports are readable, exceptions are declared."""

from __future__ import annotations

import subprocess
import sys

import pytest
from data_kit import Toy
from faults_use_kit import TurnsRound, UnknownSensorIsBad
from omnipatch import InputError, check_modality, load_modality
from omnipatch.core.registry import list_modalities
from omnipatch.core.testing import check_names, modality_checks
from omnipatch.core.testing.checks import THEMES, CheckFailed, all_checks
from omnipatch.core.testing.report import Report
from omnipatch.modalities.ecg import ECG, ECGConfig
from testing_kit import Hum

pytest_plugins = ["pytester"]

# what the toy of the data room does on purpose
TOY_FAILS = {
    "unknown_sensor_is_ignored_or_refused": "its readers are careless, to test what the core does about that",
    "rate_changes_keep_seconds": "it has one rate",
    "labels_are_classes_of_their_task": "it keeps a mark without a class",
}

BUILT_IN = [entry.name for entry in list_modalities() if entry.distribution == "omnipatch"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_passes(name):
    report = check_modality(load_modality(name))
    assert report.ok
    assert len(report.outcomes) == len(check_names()) >= 28


@modality_checks(ECG(ECGConfig(tokens="lead", residual=True)))
def test_ecg_of_single_leads(check):
    check()


@modality_checks(Hum)
def test_hum(check):
    check()


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@modality_checks(Toy, expected_failed=TOY_FAILS)
def test_toy(check):
    check()


def test_every_theme_has_checks_with_a_fix():
    assert {check.theme for check in all_checks().values()} == set(THEMES)
    assert all(check.fix and not check.fix.endswith(".") for check in all_checks().values())


class Bad(TurnsRound, UnknownSensorIsBad):
    """Breaks two promises."""


class TestReport:
    def test_all_failures_are_raised_at_once(self):
        with pytest.raises(AssertionError) as caught:
            check_modality(Bad)
        lines = str(caught.value).splitlines()
        assert lines[0] == f"modality hum fails 2 of {len(check_names())} checks"
        assert [line.split(":")[0].strip() for line in lines[1:]] == [
            "unpatchify_inverts_patchify", "quality_names_sensors",
        ]  # fmt: skip

    def test_table_shows_every_check_and_the_sum(self):
        report = check_modality(TurnsRound, on_fail="report")
        assert isinstance(report, Report)
        assert not report.ok
        text = str(report)
        assert all(name in text for name in check_names())
        skipped = sum(outcome.state == "skipped" for outcome in report.outcomes)  # what it has no task for
        passed = len(check_names()) - 1 - skipped
        assert skipped <= 5
        assert text.splitlines()[-1] == (
            f"hum: {len(check_names())} checks, {passed} passed, 1 failed, {skipped} skipped"
        )

    def test_declared_failure_is_no_failure(self):
        report = check_modality(TurnsRound, expected_failed={"unpatchify_inverts_patchify": "upside down"})
        state = {outcome.name: outcome for outcome in report.outcomes}["unpatchify_inverts_patchify"]
        assert state.state == "expected"
        assert state.message.startswith("upside down (got other values of left, right, top, expected")

    def test_declared_failure_that_passes_is_a_failure(self):
        with pytest.raises(
            AssertionError, match="got passed, expected a failure \\(old\\); take it off expected_failed"
        ):
            check_modality(Hum, expected_failed={"gap_is_missing_not_zero": "old"})

    def test_exception_of_the_adapter_says_where(self):
        class Breaks(Hum):
            def quality(self, recording):
                raise KeyError("nose")

        with pytest.raises(
            AssertionError, match=r"got KeyError: 'nose' \(in quality, test_testing_kit.py:\d+\), expected"
        ):
            check_modality(Breaks)

    def test_unknown_check_names_the_nearest(self):
        with pytest.raises(InputError, match="did you mean 'gap_is_missing_not_zero'"):
            check_modality(Hum, expected_failed={"gap_is_missing": "typo"})

    @pytest.mark.parametrize(("given", "message"), [(dict, "not an adapter"), (object(), "not an adapter")])
    def test_something_else_is_refused(self, given, message):
        with pytest.raises(InputError, match=message):
            check_modality(given)


class TestPlugin:
    def test_costs_no_torch(self):
        code = "import sys, omnipatch.core.testing.plugin; print([m for m in ('torch', 'numpy') if m in sys.modules])"
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"

    def test_one_test_a_check(self, pytester):
        pytester.makepyfile(
            """
            from omnipatch.core.testing import modality_checks
            from faults_use_kit import TurnsRound, FillsGaps

            @modality_checks(TurnsRound)
            def test_fails(check):
                check()

            @modality_checks(FillsGaps, expected_failed={"gap_is_missing_not_zero": "to be done"})
            def test_declared(check):
                check()

            @modality_checks(FillsGaps, expected_failed={"windows_are_deterministic": "once"})
            def test_stale(check):
                check()
            """
        )
        result = pytester.runpytest_inprocess("-rA", "-k", "unpatchify or gap_is or windows_are", "-p", "no:randomly")
        result.assert_outcomes(passed=5, failed=3, xfailed=1)
        result.stdout.fnmatch_lines(
            [
                "E *CheckFailed: got other values of left, right, top, expected each sensor's samples *",
                "*XPASS(strict)* once",
                "FAILED *test_fails[[]unpatchify_inverts_patchify[]]*",
                "FAILED *test_stale[[]windows_are_deterministic[]]*",
            ]
        )

    def test_argument_is_needed(self, pytester):
        pytester.makepyfile(
            """
            from omnipatch.core.testing import modality_checks
            from testing_kit import Hum

            @modality_checks(Hum)
            def test_contract():
                pass
            """
        )
        result = pytester.runpytest_inprocess()
        assert result.ret != 0
        result.stdout.fnmatch_lines(["*test_contract is marked modality_checks: it needs an argument named check*"])


def test_check_failed_is_an_assertion():
    assert issubclass(CheckFailed, AssertionError)
