"""The answer in words: what may be called help, and which comparison speaks."""

import pytest
import torch
from omnipatch.core.blocks.signal_targets import RawPatches
from omnipatch.core.report.window import _undo
from omnipatch.core.report.words import featured, headline, line_label, metric_label, primary_metric
from omnipatch.core.sequence import SequenceSpec


def line(model, protocol, mean, share=1.0, metric="macro_f1"):
    return {"model": model, "protocol": protocol, "label_fraction": share, "metric": metric, "mean": mean,
            "ci_low": mean - 0.05, "ci_high": mean + 0.05, "n": 3}  # fmt: skip


def difference(protocol, control, mean, low, high, share=1.0, metric="macro_f1"):
    return {"protocol": protocol, "control": control, "label_fraction": share, "metric": metric, "mean": mean,
            "ci_low": low, "ci_high": high}  # fmt: skip


LINES = [line("pretrained", "finetune", 0.7), line("scratch", "finetune", 0.6), line("pretrained", "linear", 0.6),
         line("random-init", "linear", 0.5), line("hand-features", "linear", 0.65)]  # fmt: skip
RESULTS = {"rows": [{}], "summary": LINES}


@pytest.mark.parametrize(
    ("tuned", "frozen", "verdict", "title"),
    [
        ((0.1, 0.02, 0.2), (0.1, 0.02, 0.2), "helped", "Pretraining helped."),
        ((-0.1, -0.2, -0.02), (-0.1, -0.2, -0.02), "hurt", "Pretraining made things worse."),
        ((0.1, -0.02, 0.2), (0.1, -0.02, 0.2), "unclear", "Pretraining made no clear difference."),
        ((0.1, 0.0, 0.2), (0.3, 0.0, 0.5), "unclear", "Pretraining made no clear difference."),
        ((0.1, -0.02, 0.2), (0.1, 0.02, 0.2), "mixed",
         "Pretraining helped the linear probe but made no clear difference to fine-tuning."),
        ((-0.1, -0.2, -0.01), (0.1, 0.02, 0.2), "mixed",
         "Pretraining helped the linear probe but made fine-tuning worse."),
    ],
)  # fmt: skip
def test_help_needs_an_interval_above_zero(tuned, frozen, verdict, title):
    answer = headline(
        RESULTS, [difference("finetune", "scratch", *tuned), difference("linear", "random-init", *frozen)]
    )
    assert (answer.verdict, answer.title) == (verdict, title)
    assert "Hand-made features reach macro F1 0.650" in answer.plain


def test_for_errors_less_is_help():
    lines = [line(model, "linear", 1.0, metric="mae") for model in ("pretrained", "random-init")]
    told = [difference("linear", "random-init", -0.3, -0.5, -0.1, metric="mae")]
    assert headline({"rows": [{}], "summary": lines}, told).verdict == "helped"


def test_the_speaking_protocol_is_fixed_and_not_the_best_one():
    told = [
        difference("knn", "random-init", 0.5, 0.4, 0.6),
        difference("linear", "random-init", 0.0, -0.1, 0.1),
        difference("attentive", "random-init", 0.5, 0.4, 0.6),
    ]
    assert headline(RESULTS, told).verdict == "unclear"


def test_the_largest_label_fraction_speaks():
    told = [
        difference("linear", "random-init", 0.3, 0.2, 0.4, share=0.1),
        difference("linear", "random-init", 0.0, -0.1, 0.1, share=1.0),
    ]
    assert headline(RESULTS, told).verdict == "unclear"


def test_without_a_control_nothing_is_claimed():
    answer = headline({"rows": [{}], "summary": LINES[:1]}, [])
    assert answer.verdict == "none"
    assert "nothing can be said about pretraining" in answer.title
    assert "pretrained, fine-tuning: macro F1 0.700 (0.650 to 0.750)" in answer.plain


def test_undefined_numbers_are_left_out():
    answer = headline(RESULTS, [difference("linear", "random-init", None, None, None)])
    assert answer.verdict == "none"
    lines = [{**entry, "mean": None, "ci_low": None, "ci_high": None} for entry in LINES]
    assert headline({"rows": [{}], "summary": lines}, []).details == ()


def test_labels_are_read_as_words():
    assert metric_label("f1_V") == "F1 V"
    assert metric_label("ndcg@10") == "ndcg@10"
    assert line_label(("random-init", "linear", 0.1), fraction=True) == "random init, linear probe, 10% of labels"
    assert line_label(("prior", "linear", 1.0)) == "class prior"
    assert line_label(("prior", "ranking", 1.0)) == "simplest ranking"
    assert line_label(("hand-features", "ranking", 1.0)) == "best without training"
    assert primary_metric({"summary": [line("prior", "linear", 0.1, metric="mae")]}) == "mae"
    assert featured(RESULTS) == [("pretrained", "finetune", 1.0), ("scratch", "finetune", 1.0),
                                 ("hand-features", "linear", 1.0)]  # fmt: skip


def test_a_perfect_decoder_draws_the_signal_itself():
    spec = SequenceSpec(axes=("time_s",), patch_shape=(2, 5))
    true = torch.randn(4, 10)
    true[1, 5:] = torch.nan  # a sensor that was not recorded
    for normalize in (True, "patch", False):
        target = RawPatches(spec, None, None, normalize=normalize)
        perfect = target.transform(true.view(1, 4, 2, 5)).nan_to_num(7.0)
        torch.testing.assert_close(_undo(target, true, perfect, (2, 5)), true, equal_nan=True)
