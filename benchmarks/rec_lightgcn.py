"""LightGCN-PyTorch against the graph parts of omnipatch, piece by piece, in processor and wall seconds on one thread.

    OMP_NUM_THREADS=1 python benchmarks/rec_lightgcn.py PATH --data DIR [--part evaluation] [--users 3000] [--rounds 3]

PATH: a checkout of github.com/gusye1234/LightGCN-PyTorch. DIR: train.txt and test.txt of its gowalla split (default:
PATH/data/gowalla). Both sides read the same files, have vectors of 64 numbers and three layers.

Parts
- adjacency: the normalised graph from the interactions in memory (the peer keeps it on disk after the first time).
- sampling: one epoch of (user, item, item not taken); the peer in Python, its C++ extension is not built here.
- step: forward, BPR loss, backward and Adam for 2048 triples drawn beforehand.
- graph, tokens: training on as many interactions as 2,048 people have, about a fifteenth of an epoch: ours by the
  recipes `rec-lightgcn` (BPR, one step) and `rec-masked` (eight steps of 256 people), batches of histories read and
  masked, as a run does it; the peer by its own steps of 2048 triples, drawn beforehand, for as many interactions.
- evaluation: full ranking of all items for test users, recall@20 and ndcg@20. `--users`: of the first so many only.
- quality (not among the default parts): `--epochs` of training with 2048 triples a step from the same vectors, each
  side with its own sampling, propagation and loss; both are then judged by our evaluation. Any data of that form.
Recall and NDCG of both sides for the same vectors are printed at the end of an evaluation; they must be the same.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import Contestant, alternate, pretraining_step, serve, table, wall
from omnipatch.core.blocks.propagation import Propagation
from omnipatch.core.console import Voice
from omnipatch.core.objective import Objective
from omnipatch.core.prepared import prepare
from omnipatch.core.settings import load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.core.train.optimizer import build_adamw
from omnipatch.core.train.precision import autocast, resolve_precision
from omnipatch.modalities.recommender.evaluation import evaluate
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.lists import read_user_lists
from omnipatch.modalities.recommender.negatives import draw_negatives, draw_pairs

TRAINING = {"graph": "rec-lightgcn", "tokens": "rec-masked"}  # parts and their recipes
PARTS = ("adjacency", "sampling", "step", *TRAINING, "evaluation")
PEOPLE = 2048  # of a round of training
WIDTH, LAYERS, BATCH, SPREAD, DECAY = 64, 3, 2048, 0.1, 1e-4
PEER, OWN = "LightGCN-PyTorch", "omnipatch"
SCORES = "scores of {}: recall@20 {:.5f}, ndcg@20 {:.5f}"

Step = Callable[[], object]


def vectors(n_users: int, n_items: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Those that both sides begin with."""
    generator = torch.Generator().manual_seed(0)
    return SPREAD * torch.randn(n_users, WIDTH, generator=generator), SPREAD * torch.randn(
        n_items, WIDTH, generator=generator
    )


def asked_of(tested: int, most: int) -> int:
    """How many test users an evaluation asks; the peer stumbles over whole batches of 100."""
    n = min(tested, most)
    return n - (n % 100 == 0)


def say(side: str, recall: float, ndcg: float) -> None:
    """To stderr: stdout belongs to the clock."""
    print(SCORES.format(side, recall, ndcg), file=sys.stderr, flush=True)


# ---- ours -----------------------------------------------------------------------------------------------------


def own(part: str, data: Path, most_users: int, epochs: int) -> Step:
    """One round of a part."""
    if part in TRAINING:
        return _own_training(TRAINING[part], data)
    train, test = read_user_lists([data / "train.txt", data / "test.txt"])
    rng = np.random.default_rng(0)
    if part == "adjacency":
        return lambda: Propagation(train.matrix, LAYERS)
    if part == "sampling":
        return lambda: draw_negatives(train, draw_pairs(train, len(train), rng)[0], rng)
    users, items = (x.requires_grad_() for x in vectors(train.n_users, train.n_items))
    graph = Propagation(train.matrix, LAYERS)
    if part == "step":
        return _own_step(train, graph, users, items, draw(train, rng))
    if part == "quality":
        return _own_quality(train, test, graph, users, items, rng, epochs)
    return _own_evaluation(train, test, graph, users, items, most_users)


def draw(train: Interactions, rng: np.random.Generator) -> list[torch.Tensor]:
    """[triple] each: a user, one of the user's items, and one that is not."""
    pair = draw_pairs(train, BATCH, rng)
    return [torch.from_numpy(a) for a in (*pair, draw_negatives(train, pair[0], rng))]


def _own_step(
    train: Interactions,
    graph: Propagation,
    users: torch.Tensor,
    items: torch.Tensor,
    triples: list[torch.Tensor] | Callable[[], list[torch.Tensor]],
) -> Step:
    optimizer = torch.optim.Adam([users, items], lr=1e-3, fused=True)

    def step() -> None:
        user, liked, other = triples() if callable(triples) else triples
        spread = graph(users, items)
        u, i = spread.rows, spread.ids
        gap = (u[user] * (i[liked] - i[other])).sum(dim=1)
        start = (users[user], items[liked], items[other])
        penalty = sum(x.square().sum() for x in start) / (2 * BATCH)
        loss = torch.nn.functional.softplus(-gap).mean() + DECAY * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _own_quality(
    train: Interactions,
    test: Interactions,
    graph: Propagation,
    users: torch.Tensor,
    items: torch.Tensor,
    rng: np.random.Generator,
    epochs: int,
) -> Step:
    step = _own_step(train, graph, users, items, lambda: draw(train, rng))

    def training() -> None:
        for _ in range(epochs * round(len(train) / BATCH)):
            step()
        with torch.no_grad():
            spread = graph(users, items)
        judge(OWN, train, test, spread.rows, spread.ids)

    return training


def judge(side: str, train: Interactions, test: Interactions, users: torch.Tensor, items: torch.Tensor) -> None:
    """Say how well vectors rank."""
    u, i = users.detach().numpy(), np.ascontiguousarray(items.detach().numpy().T)
    found = evaluate(lambda rows: u[rows] @ i, train, test, ks=(20,))
    say(side, found["recall@20"], found["ndcg@20"])


def _own_training(name: str, data: Path) -> Step:
    """A recipe's own steps over so many people, in bf16 where the recipe's precision says so."""
    settings = load(name, ["--data.name=gowalla", f"--data.root={data}"])
    prepared = prepare(settings, Voice(quiet=True))
    recipe, store = settings.recipe, prepared.store
    known = prepared.modality.known_of_ids()
    encoder = fresh_encoder(recipe.encoder, store.spec, 0, known)
    objective = Objective.from_config(recipe.objective, store.spec, encoder)
    objective.tell(known)
    rng, size = np.random.default_rng(0), min(recipe.trainer.batch_size, PEOPLE)
    step = pretraining_step(
        objective, build_adamw(objective, recipe.optimizer), lambda: store.batch(rng.permutation(len(store))[:size]),
        recipe.seed, lambda: autocast("cpu", resolve_precision(recipe.trainer.precision)),
    )  # fmt: skip

    def training() -> None:
        for _ in range(PEOPLE // size):
            step()

    return training


@torch.no_grad()
def _own_evaluation(
    train: Interactions,
    test: Interactions,
    graph: Propagation,
    users: torch.Tensor,
    items: torch.Tensor,
    most_users: int,
) -> Step:
    asked = np.flatnonzero(test.user_degree > 0)
    asked = asked[: asked_of(len(asked), most_users)]

    def step() -> None:
        with torch.no_grad():
            spread = graph(users, items)
            u, i = spread.rows.numpy(), spread.ids.numpy()
        found = evaluate(lambda rows: u[rows] @ i.T, train, test, ks=(20,), users=asked)
        say(OWN, found["recall@20"], found["ndcg@20"])

    return step


# ---- theirs ---------------------------------------------------------------------------------------------------


def peer(part: str, checkout: Path, data: Path, most_users: int, epochs: int) -> Step:
    """One round of a part, by the peer's own functions."""
    sys.argv = ["main.py", "--dataset", "gowalla", "--topks", "[20]", "--tensorboard", "0", "--layer", str(LAYERS)]
    sys.argv += ["--recdim", str(WIDTH), "--bpr_batch", str(BATCH), "--decay", str(DECAY)]
    sys.modules["cppimport"] = None  # type: ignore[assignment]  # its extension is for another comparison
    os.chdir(checkout / "code")
    sys.path.insert(0, str(checkout / "code"))
    with contextlib.redirect_stdout(sys.stderr):
        loader, utils, model, procedure, world = (
            importlib.import_module(name) for name in ("dataloader", "utils", "model", "Procedure", "world")
        )
        world.device = torch.device("cpu")
        dataset = loader.Loader(path=str(data))
        loader.sp.load_npz, loader.sp.save_npz = _no_file, lambda *_: None
        if part == "adjacency":
            return _quiet(lambda: (setattr(dataset, "Graph", None), dataset.getSparseGraph()))
        if part == "sampling":
            return _quiet(lambda: utils.UniformSample_original(dataset))
        # the slow way to the same graph would only take longer
        dataset.Graph = _graph(dataset)
        network = model.LightGCN(world.config, dataset)
        for table_, start in zip(
            (network.embedding_user, network.embedding_item), vectors(dataset.n_users, dataset.m_items), strict=True
        ):
            table_.weight.data.copy_(start)
    if part == "step" or part in TRAINING:
        step = _peer_step(utils, world, dataset, network)
        interactions = PEOPLE * dataset.trainDataSize / dataset.n_users
        return step if part == "step" else _times(step, round(interactions / BATCH))
    if part == "quality":
        return _peer_quality(utils, world, procedure, dataset, network, data, epochs)
    tested = sorted(dataset.testDict.items())
    dataset._Loader__testDict = dict(tested[: asked_of(len(tested), most_users)])

    def step() -> None:
        found = procedure.Test(dataset, network, 0, None, 0)
        say(PEER, float(found["recall"][0]), float(found["ndcg"][0]))

    return _quiet(step)


def _peer_step(utils: Any, world: Any, dataset: Any, network: Any) -> Step:
    loss, rng = utils.BPRLoss(network, world.config), np.random.default_rng(0)
    known = Interactions.from_codes(dataset.trainUser, dataset.trainItem, users=dataset.n_users, items=dataset.m_items)
    triples = draw(known, rng)
    return _quiet(lambda: loss.stageOne(*triples))


def _peer_quality(utils: Any, world: Any, procedure: Any, dataset: Any, network: Any, data: Path, epochs: int) -> Step:
    train, test = read_user_lists([data / "train.txt", data / "test.txt"])
    loss = utils.BPRLoss(network, world.config)

    def training() -> None:
        for epoch in range(epochs):
            procedure.BPR_train_original(dataset, network, loss, epoch)
        network.eval()
        with torch.no_grad():
            users, items = network.computer()
            # the peer counts ids that nobody has
            at = [torch.from_numpy(names.astype(np.int64)) for names in (train.users, train.items)]
            judge(PEER, train, test, users[at[0]], items[at[1]])

    return _quiet(training)


def _times(step: Step, n: int) -> Step:
    def many() -> None:
        for _ in range(n):
            step()

    return many


def _graph(dataset: Any) -> torch.Tensor:
    """The peer's adjacency as its own function lays it out (coalesced COO of users and items), made by ours."""
    known = Interactions.from_codes(dataset.trainUser, dataset.trainItem, users=dataset.n_users, items=dataset.m_items)
    degree = [np.maximum(d, 1) for d in (known.user_degree, known.item_degree)]
    value = (1 / np.sqrt(degree[0][known.user] * degree[1][known.indices])).astype(np.float32)
    row, column = known.user, known.indices + dataset.n_users
    index = torch.from_numpy(np.stack([np.concatenate([row, column]), np.concatenate([column, row])]))
    size = dataset.n_users + dataset.m_items
    return torch.sparse_coo_tensor(
        index, torch.from_numpy(np.tile(value, 2)), (size, size), check_invariants=False
    ).coalesce()


def _no_file(*_: object) -> None:
    raise FileNotFoundError("the graph is made anew")


def _quiet(step: Step) -> Step:
    """What it prints goes to stderr."""

    def silent() -> None:
        with contextlib.redirect_stdout(sys.stderr):
            step()

    return silent


# ---- both -----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="checkout of LightGCN-PyTorch")
    parser.add_argument("--data", type=Path, help="folder of train.txt and test.txt")
    parser.add_argument("--part", choices=(*PARTS, "quality"), help="default: all, in turn")
    parser.add_argument("--users", type=int, default=10**9, help="test users of an evaluation")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200, help="of the part quality (default: 200)")
    parser.add_argument("--worker", choices=(PEER, OWN), help=argparse.SUPPRESS)
    args = parser.parse_args()
    data = (args.data or args.path / "data" / "gowalla").resolve()
    torch.set_num_threads(1)
    if args.worker:
        if args.worker == OWN:
            made = own(args.part, data, args.users, args.epochs)
        else:
            made = peer(args.part, args.path.resolve(), data, args.users, args.epochs)
        # what is slow is slow the first time too
        serve(made, 1, warmup=int(args.part in ("step", *TRAINING)), clock=time.process_time)
        return
    for part in [args.part] if args.part else PARTS:
        base = [
            __file__,
            str(args.path),
            f"--data={data}",
            f"--part={part}",
            f"--users={args.users}",
            f"--epochs={args.epochs}",
        ]
        contestants = [Contestant(side, [*base, f"--worker={side}"]) for side in (PEER, OWN)]
        alternate(contestants, args.rounds)
        print(f"\n{part}, {args.rounds} rounds, one thread")
        print(table(contestants, PEER, 1, "rounds"))
        print(wall(contestants), flush=True)


if __name__ == "__main__":
    main()
