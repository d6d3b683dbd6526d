"""Mined positives: the target of a row is the projection of one of its nearest other windows."""

from __future__ import annotations

import copy

import pytest
import torch
from blocks_kit import batch, objective, run
from omnipatch.core.blocks.projections import project
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.views import View
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from torch.nn import functional as F


def composed(**options):
    return objective({"name": "myow", "targets": {"neighbour": options}})


def mine(built, made, step=0):
    """(target of each row, keys of the rows, what each row would be as a neighbour)."""
    provider, teacher = built.targets["neighbour"], built.targets["teacher"].encoder

    def encode(encoder, view, hide, layers):
        return encoder(view.batch)

    request = Request(View(made), encode, None, None, rng=RowRandom(0, step, made.window))
    with torch.no_grad():
        target, encoded = provider(request), teacher(made)
        valid = encoded.valid.any(dim=1)
        values = project(provider.average, encoded.pooled, valid)
    return target, F.normalize(encoded.pooled, dim=-1), values


def place(row, rows):
    """Which of the rows a target is."""
    return int((rows - row).square().sum(dim=1).argmin())


def slow_neighbours(keys, allowed, k):
    """{row: its k nearest allowed others}."""
    found = {}
    for i in range(len(keys)):
        others = sorted((float(-(keys[i] @ keys[j])), j) for j in range(len(keys)) if allowed(i, j))
        found[i] = {j for _, j in others[:k]}
    return found


def test_the_nearest_other_window_is_the_loop():
    made, built = batch(9, 6), composed(k=1)
    target, keys, values = mine(built, made)
    expected = slow_neighbours(keys, lambda i, j: i != j, 1)
    assert {i: {place(target.values[i], values)} for i in range(9)} == expected
    assert target.valid.all()


def test_each_of_the_k_nearest_gets_its_turn():
    made, built = batch(9, 6), composed(k=3).eval()
    seen = {i: set() for i in range(9)}
    for step in range(60):
        target, keys, values = mine(built, made, step)
        for i in range(9):
            seen[i].add(place(target.values[i], values))
    assert seen == slow_neighbours(keys, lambda i, j: i != j, 3)


def test_neighbours_of_other_people_only():
    made, built = batch(8, 6), composed(k=8, other_subjects=True).eval()  # two windows a subject
    for step in range(20):
        target, _, values = mine(built, made, step)
        for i in range(8):
            assert made.subject[place(target.values[i], values)] != made.subject[i]
    alone = made.replace(subject=torch.zeros(8, dtype=torch.long))
    assert not mine(built, alone)[0].valid.any(), "who has no neighbour has no target"
    unknown = made.replace(subject=torch.full((8,), -1))
    assert mine(built, unknown)[0].valid.all()


def test_a_window_is_never_its_own_neighbour_not_even_from_the_queue():
    made, built = batch(4, 6), composed(k=50, queue=12)
    for step in range(4):
        mine(built, made, step)
        built.after_step(step)
    queue = built.targets["neighbour"]
    assert queue.filled.all()
    for step in range(20):
        target, _, values = mine(built, made, step)
        for i in range(4):
            assert place(target.values[i], values) != i
    single = made.rows([0])
    target, _, _ = mine(built, single)
    assert target.valid.all(), "its neighbours are windows of earlier steps"
    assert (queue.origin[:, 0] != single.window).any()


def test_the_queue_holds_the_newest_windows():
    built = composed(queue=6)
    for step in range(3):
        made = batch(4, 6, seed=step)
        built(made.replace(window=made.window + 10 * step), 0, step)
        built.after_step(step)
    # two terms mine a step, each from its own view
    assert built.targets["neighbour"].origin[:, 0].tolist() == [120, 121, 122, 123, 120, 121]


def test_a_queue_survives_a_resume_to_the_bit():
    made, first = batch(), composed(queue=10)
    run(first, made, 3)
    state = copy.deepcopy(first.state_dict())
    expected = run(first, made, 3)
    second = composed(queue=10)
    second.load_state_dict(state)
    assert run(second, made, 3) == expected


@pytest.mark.parametrize("queue", [0, 3])
def test_a_batch_without_a_valid_row_has_no_neighbours(queue):
    made = batch(3, 6, valid=torch.zeros(3, 6, dtype=torch.bool))
    target, _, _ = mine(composed(queue=queue), made)
    assert not target.valid.any()


def test_evaluating_leaves_the_queue_alone():
    built = composed(queue=6).eval()
    built(batch(4, 6), 0, 0)
    built.after_step(0)
    assert not built.targets["neighbour"].filled.any()


def test_one_moving_average_serves_both_targets(monkeypatch):
    built, passes = objective("myow"), []
    teacher = built.targets["teacher"].encoder
    monkeypatch.setattr(teacher, "forward", lambda *a, _f=teacher.forward: passes.append(1) or _f(*a))
    built(batch(), 0, 0)
    assert len(passes) == 2, "one for each view"
    saved = [name for name in built.state_dict() if name.startswith("targets.neighbour.")]
    assert not [name for name in saved if "encoder" in name]
    # the averages of the shared projector are one
    run(built, batch(), 3)
    a, b = built.targets["teacher"].average[1], built.targets["neighbour"].average[0]
    for mine_, theirs in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(mine_, theirs)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"of": "teachr"}, "did you mean 'teacher'"), ({"k": 0}, "k must be positive"), ({"queue": -1}, "not negative")],
)
def test_wrong_options_are_one_sentence(options, said):
    with pytest.raises(InputError, match=said):
        composed(**options)


def test_mined_neighbours_of_patches_are_refused():
    made, built = batch(4, 6), composed()
    with pytest.raises(InputError, match="pooled"):
        built.targets["neighbour"](Request(View(made), lambda *a: None, None, object()))
