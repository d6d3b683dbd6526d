"""Numbers in plain words: did pretraining help, by how much, how sure is that.

Decisions
- The verdict compares like with like only: the pretrained encoder against the same network untrained under the same
  frozen protocol, and against the same schedule from scratch. Intervals are of paired differences over subjects.
- "Helped" needs an interval above zero; an interval that holds zero is "no clear difference", whatever the mean says.
- A run of two steps (`--fast-dev-run`) gets no verdict, only the note that says so.
- Which protocol speaks is fixed in advance (`_ORDER`), never chosen by its test score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..downstream.rows import WITHOUT_ENCODER
from ..downstream.summary import CONTROLS

_METRICS = ("macro_f1", "auroc", "balanced_accuracy", "accuracy", "mae", "spearman", "ndcg@20", "recall@20")
_LABELS = {
    "macro_f1": "macro F1", "auroc": "AUROC", "auprc": "AUPRC", "ece": "ECE", "mae": "MAE", "spearman": "Spearman",
    "balanced_accuracy": "balanced accuracy", "accuracy": "accuracy",
}  # fmt: skip
_LOWER_IS_BETTER = {"ece", "mae", "gini"}  # gini: few ids have all the lists
# protocols that train the encoder first, then frozen ones
_ORDER: tuple[str, ...] = ("finetune", "lora", "semi", "side", "attentive", "layers", "linear", "knn", "ranking")
MODEL_LABELS = {
    "pretrained": "pretrained", "random-init": "random init", "scratch": "from scratch",
    "hand-features": "hand features", "covariates": "covariates", "prior": "class prior",
}  # fmt: skip
PROTOCOL_LABELS = {
    "finetune": "fine-tuning", "lora": "low-rank fine-tuning", "attentive": "attentive probe", "linear": "linear probe",
    "layers": "layer-weighted probe", "knn": "nearest neighbours", "semi": "semi-supervised", "side": "side-tuning",
    "ranking": "ranking",
}  # fmt: skip
_RANKING_LABELS = {"hand-features": "best without training", "prior": "simplest ranking"}
TWO_STEPS = "two steps of everything: these figures mean nothing, the run only shows that it works"
_CONTROL_LABELS = {"random-init": "the same network without pretraining", "scratch": "training from scratch"}

Line = tuple[str, str, float]


@dataclass(frozen=True)
class Headline:
    """The answer. verdict: helped, mixed, unclear, hurt or none; details: one sentence a comparison."""

    verdict: str
    title: str
    details: tuple[str, ...]

    @property
    def plain(self) -> str:
        """For the terminal."""
        return "\n".join([self.title, *(f"  {detail}" for detail in self.details)])

    @property
    def html(self) -> str:
        """For the page, with typographic minus signs and unbroken numbers."""
        details = (
            re.sub(r"(?<![\w.])-(?=\d)", "\u2212", detail.replace("95 %", "95\u00a0%")) for detail in self.details
        )
        return f"<h1>{escape(self.title)}</h1>" + "".join(f"<p>{escape(detail)}</p>" for detail in details)


def metric_label(name: str) -> str:
    """A metric's name as it is read."""
    return f"F1 {name[3:]}" if name.startswith("f1_") else _LABELS.get(name, name)


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is more; of lists at any length."""
    return metric.partition("@")[0] in _LOWER_IS_BETTER


def axis_label(name: str) -> str:
    """`time_s` -> "time, seconds"."""
    seconds = name.endswith("_s")
    return name.removesuffix("_s").replace("_", " ") + (", seconds" if seconds else "")


def primary_metric(results: dict[str, Any]) -> str:
    """The metric the headline speaks of."""
    present = {entry["metric"] for entry in results["summary"]}
    return next((name for name in _METRICS if name in present), next(iter(sorted(present)), "macro_f1"))


def line_of(entry: Mapping[str, Any]) -> Line:
    """The line of the table that an entry belongs to."""
    return entry["model"], entry["protocol"], entry["label_fraction"]


def lines(results: dict[str, Any]) -> list[Line]:
    """(model, protocol, label fraction) of the summary, in a fixed reading order."""
    models, protocols = list(MODEL_LABELS), _ORDER
    found = {line_of(e) for e in results["summary"]}
    return sorted(found, key=lambda line: (-line[2], models.index(line[0]), protocols.index(line[1])))


def entry(results: dict[str, Any], line: Line, metric: str) -> dict[str, Any] | None:
    """The summary entry of a line and metric."""
    for e in results["summary"]:
        if line_of(e) == line and e["metric"] == metric:
            return e
    return None


def model_label(line: Line) -> str:
    """Who made a line. Rankings without training stand where features and the prior stand in other tasks."""
    return (_RANKING_LABELS if line[1] == "ranking" else {}).get(line[0], MODEL_LABELS[line[0]])


def line_label(line: Line, *, fraction: bool = False) -> str:
    """A line of the table as it is read; controls without an encoder have no protocol worth naming."""
    model, protocol, share = line
    text = model_label(line)
    if model not in WITHOUT_ENCODER:
        text += f", {PROTOCOL_LABELS[protocol]}"
    return f"{text}, {share:.0%} of labels" if fraction else text


def shown_lines(results: dict[str, Any], metrics: Sequence[str]) -> list[tuple[str, ...]]:
    """Rows of the terminal's table."""
    from ..console import interval

    rows = []
    for line in lines(results):
        cells = [entry(results, line, metric) for metric in metrics]
        protocol = "" if line[0] in WITHOUT_ENCODER else PROTOCOL_LABELS[line[1]]
        rows.append((model_label(line), protocol, f"{line[2]:.0%}", *(interval(c) if c else "" for c in cells)))
    return rows


def featured(results: dict[str, Any]) -> list[Line]:
    """The lines the figures compare: the pretrained encoder, its control, and hand-made features."""
    found = lines(results)
    chosen: list[Line] = []
    for protocol in _ORDER:
        line = next((line for line in found if line[:2] == ("pretrained", protocol)), None)
        if line is not None:
            chosen = [line, (CONTROLS[protocol], protocol, line[2])]
            break
    hand = next((line for line in found if line[0] == "hand-features"), None)
    return [line for line in [*chosen, hand] if line in found]


def headline(results: dict[str, Any], differences: Sequence[dict[str, Any]]) -> Headline:
    """The verdict over one frozen and one trained comparison at the largest label fraction."""
    metric = primary_metric(results)
    if TWO_STEPS in results.get("notes", ()):
        return Headline("none", "A trial run, no result.", (f"{TWO_STEPS[0].upper()}{TWO_STEPS[1:]}.",))
    if not results["rows"]:
        return Headline("none", "Pretrained, not evaluated yet.", ("`omnipatch evaluate` computes the result table.",))
    told = _told(differences, metric)
    if not told:
        best = filter(None, (_alone(results, line, metric) for line in featured(results)[:1]))
        details = (*best, *_over_covariates(results, metric))
        return Headline("none", "No control was evaluated, so nothing can be said about pretraining.", details)
    signs = [_sign(d, metric) for d in told]
    details = [_compared(results, d, metric) for d in told]
    share = told[0]["label_fraction"]
    ranks = told[0]["protocol"] == "ranking"
    hand = entry(results, ("hand-features", "ranking" if ranks else "linear", share), metric)
    if hand is not None and hand["mean"] is not None:
        whose = "The best ranking without training reaches" if ranks else "Hand-made features reach"
        details.append(f"{whose} {metric_label(metric)} {_range(hand)}.")
    details += _over_rankers(results, metric)
    details += _over_covariates(results, metric)
    verdict, title = _verdict(signs, told)
    return Headline(verdict, title, tuple(details))


def _told(differences: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """One comparison with the encoder trained on, one with it frozen, in that order."""
    usable = [d for d in differences if d["metric"] == metric and d["mean"] is not None]
    if not usable:
        return []
    most = max(d["label_fraction"] for d in usable)
    usable = [d for d in usable if d["label_fraction"] == most]
    told = []
    for control in ("scratch", "random-init"):
        mine = sorted((d for d in usable if d["control"] == control), key=lambda d: _ORDER.index(d["protocol"]))
        linear = next((d for d in mine if d["protocol"] == "linear"), None)
        told += [linear or mine[0]] if mine else []
    return told


def _sign(difference: dict[str, Any], metric: str) -> int:
    low, high = difference["ci_low"], difference["ci_high"]
    if low is None or high is None or low <= 0 <= high:
        return 0
    return (1 if low > 0 else -1) * (-1 if lower_is_better(metric) else 1)


def _verdict(signs: list[int], told: list[dict[str, Any]]) -> tuple[str, str]:
    if all(s > 0 for s in signs):
        return "helped", "Pretraining helped."
    if all(s < 0 for s in signs):
        return "hurt", "Pretraining made things worse."
    if all(s == 0 for s in signs):
        return "unclear", "Pretraining made no clear difference."
    where = {1: [], 0: [], -1: []}
    for sign, difference in zip(signs, told, strict=True):
        where[sign].append(PROTOCOL_LABELS[difference["protocol"]])
    words = {1: "helped {}", 0: "made no clear difference to {}", -1: "made {} worse"}
    parts = [
        words[sign].format(f"the {names[0]}" if "probe" in names[0] else names[0])
        for sign, names in where.items()
        if names
    ]
    return "mixed", f"Pretraining {' but '.join(parts)}."


def _compared(results: dict[str, Any], difference: dict[str, Any], metric: str) -> str:
    protocol, share = difference["protocol"], difference["label_fraction"]
    control = _CONTROL_LABELS[difference["control"]]
    mine = entry(results, ("pretrained", protocol, share), metric)
    other = entry(results, (difference["control"], protocol, share), metric)
    means = f"against {control}"
    if mine and other and mine["mean"] is not None and other["mean"] is not None:
        means = f"{mine['mean']:.3f} against {other['mean']:.3f} for {control}"
    change = f"a difference of {difference['mean']:+.3f}"
    if difference["ci_low"] is not None:
        change += f" (95 % interval {difference['ci_low']:+.3f} to {difference['ci_high']:+.3f}, by subject)"
    name = PROTOCOL_LABELS[protocol]
    return f"{name[0].upper()}{name[1:]}: {metric_label(metric)} {means}, {change}."


def _over_covariates(results: dict[str, Any], metric: str) -> list[str]:
    """What age and sex (or whatever is known without a signal) reach alone, and whether the model is above them."""
    table = results.get("covariates")
    line = next(iter(featured(results)), None)
    if not table or line is None:
        return []
    names = " and ".join(table["names"])
    alone = entry(results, ("covariates", "linear", line[2]), metric)
    found = [d for d in table["differences"] if d["metric"] == metric]
    found = [d for d in found if line_of(d) == line]
    if alone is None or alone["mean"] is None or not found or found[0]["mean"] is None:
        return []
    sure = _sign(found[0], metric) > 0
    change = f"{found[0]['mean']:+.3f}"
    if found[0]["ci_low"] is not None:
        change += f", 95 % interval {found[0]['ci_low']:+.3f} to {found[0]['ci_high']:+.3f}"
    told = f"{names[0].upper()}{names[1:]} alone reach {metric_label(metric)} {_range(alone)}; {line_label(line)}, is "
    better = "better than" if lower_is_better(metric) else "above"
    unsure = f"not clearly {better} that ({change}): it may rest on them."
    return [told + (f"{better} that ({change})." if sure else unsure)]


def _over_rankers(results: dict[str, Any], metric: str) -> list[str]:
    """What the trained model adds to the best ranking without training."""
    found = [e for e in results.get("ranking", ()) if e["name"] == "pretrained, blended" and e["metric"] == metric]
    if not found or found[0].get("change") is None:
        return []
    told, weight = found[0], found[0]["weight"]
    change = f"{told['change']:+.4f}, 95 % interval {told['change_low']:+.4f} to {told['change_high']:+.4f}"
    sure = told["change_low"] > 0 or told["change_high"] < 0
    verb = "does not clearly add to" if not sure else "adds to" if told["change"] > 0 else "takes from"
    return [f"The trained model {verb} it ({change}, by subject), at the weight {weight:.2f} that validation chose."]


def _alone(results: dict[str, Any], line: Line, metric: str) -> str:
    found = entry(results, line, metric)
    return f"{line_label(line)}: {metric_label(metric)} {_range(found)}." if found and found["mean"] is not None else ""


def _range(found: dict[str, Any]) -> str:
    if found["ci_low"] is None:
        return f"{found['mean']:.3f}"
    return f"{found['mean']:.3f} ({found['ci_low']:.3f} to {found['ci_high']:.3f})"


def pooled(results: dict[str, Any]) -> str:
    """One sentence on the AUROC over all folds together, "" = there is one fold."""
    entries = [e for e in results.get("pooled", ()) if e["metric"] == "auroc" and e["mean"] is not None]
    told = [f"{line_label(line_of(e))} {_range(e)}" for e in entries]
    words = "AUROC of all folds' decisions together, where the table has the mean of the folds' own"
    return f"{words}: {'; '.join(told)}" if told else ""


def subject_leak(results: dict[str, Any]) -> str:
    """One sentence on how well frozen features tell people apart, "" = it was not asked."""
    entries = results.get("subject_leak")
    if not entries:
        return ""
    first = entries[0]
    told = ", ".join(f"{MODEL_LABELS[e['model']]} {e['accuracy']:.0%}" for e in entries)
    return (
        f"Subject leak, which of {first['subjects']} training subjects a held-out {first['within']} comes from "
        f"(chance {first['chance']:.1%}): {told}"
    )


def layer_weights(results: dict[str, Any]) -> str:
    """One sentence on the weights of the layer-weighted probe, "" = there is none."""
    entries = [e for e in results.get("layer_weights", ()) if e["label_fraction"] == 1.0]
    told = "; ".join(f"{MODEL_LABELS[e['model']]} {' '.join(f'{w:.2f}' for w in e['weights'])}" for e in entries)
    return f"Weights of the layers, patch embedding first: {told}" if told else ""


def largest_falls(table: dict[str, Any], kind: str, number: int = 0, most: int = 3) -> str:
    """The "places" or "parts" with the largest falls for a class (0 = all alike), with their intervals."""
    found = table[kind]
    entries = zip(found["names"], *(found[part][number] for part in ("mean", "low", "high")), strict=True)
    known = sorted((e for e in entries if e[1] is not None and e[1] > 0), key=lambda e: -e[1])[:most]
    return ", ".join(
        f"{name} {mean:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")
        for name, mean, low, high in known
    ).replace("-0.000", "0.000")
