"""The quantiser: searches against brute force, training against what it must not do, files, and reports on usage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.modalities.speech.mvq import Quantizer, train_quantizer, usage
from omnipatch.modalities.speech.mvq.search import Tables, _least, beam, refine
from omnipatch.modalities.speech.mvq.seeding import Reservoir, kmeans, residual_codebooks
from omnipatch.modalities.speech.mvq.training import multiplied_out, revive, solved


def made(books: int, entries: int, dim: int, seed: int = 0) -> Quantizer:
    draw = torch.Generator().manual_seed(seed)
    return Quantizer(torch.randn(books, entries, dim, generator=draw), torch.randn(dim, generator=draw))


def vectors(count: int, dim: int, seed: int = 1) -> torch.Tensor:
    return 2.0 * torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def errors(quantizer: Quantizer, x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """[frame] squared error by its definition."""
    found = []
    for frame, code in zip(x, codes, strict=True):
        total = quantizer.mean + sum(quantizer.centres[n, int(c)] for n, c in enumerate(code))
        found.append((frame - total).square().sum())
    return torch.stack(found)


def every_choice(quantizer: Quantizer, x: torch.Tensor) -> torch.Tensor:
    """[frame] least squared error of all combinations."""
    best = torch.full((len(x),), torch.inf)
    for choice in itertools.product(range(quantizer.entries), repeat=quantizer.codebooks):
        best = torch.minimum(best, errors(quantizer, x, torch.tensor([choice] * len(x))))
    return best


def descent(quantizer: Quantizer, x: torch.Tensor, codes: torch.Tensor, sweeps: int) -> torch.Tensor:
    """Coordinate descent as one would write it down: try every entry of one codebook after the other."""
    codes = codes.clone()
    for _ in range(sweeps):
        for book in quantizer.tables().order:
            tried = []
            for entry in range(quantizer.entries):
                other = codes.clone()
                other[:, book] = entry
                tried.append(errors(quantizer, x, other))
            codes[:, book] = torch.stack(tried).argmin(dim=0)
    return codes


class TestSearch:
    @given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.integers(0, 1000))
    @settings(max_examples=25, deadline=None)
    def test_a_beam_that_keeps_everything_is_exhaustive(self, books, entries, dim, seed):
        quantizer, x = made(books, entries, dim, seed), vectors(5, dim, seed)
        codes = quantizer.encode(x, width=entries**books, sweeps=0)
        torch.testing.assert_close(errors(quantizer, x, codes), every_choice(quantizer, x), rtol=1e-4, atol=1e-3)

    @given(st.integers(1, 5), st.integers(2, 8), st.integers(1, 9), st.integers(1, 6), st.integers(0, 1000))
    @settings(max_examples=25, deadline=None)
    def test_the_energy_of_a_state_is_its_error(self, books, entries, dim, width, seed):
        quantizer, x = made(books, entries, dim, seed), vectors(7, dim, seed)
        tables = Tables.of(quantizer.centres)
        products = tables.products(x - quantizer.mean)
        rest = x - quantizer.mean - tables.offset
        first = torch.arange(books) * entries
        for states in (start := beam(products, tables, width), refine(products, tables, start, 2)):
            found = rest.square().sum(dim=1) + states.energy[:, 0]
            torch.testing.assert_close(found, errors(quantizer, x, states.codes[:, 0] - first), rtol=1e-3, atol=2e-3)

    @given(st.integers(2, 6), st.integers(2, 8), st.integers(0, 1000))
    @settings(max_examples=20, deadline=None)
    def test_one_state_is_coordinate_descent(self, books, entries, seed):
        quantizer, x = made(books, entries, 5, seed), vectors(6, 5, seed)
        greedy = quantizer.encode(x, width=1, sweeps=0)
        for sweeps in (1, 2):
            found = errors(quantizer, x, quantizer.encode(x, width=1, sweeps=sweeps))
            torch.testing.assert_close(found, errors(quantizer, x, descent(quantizer, x, greedy, sweeps)))

    @pytest.mark.parametrize("width", [1, 4])
    def test_refinement_never_makes_it_worse(self, width):
        quantizer, x = made(8, 16, 24), vectors(300, 24)
        found = [errors(quantizer, x, quantizer.encode(x, width, sweeps)) for sweeps in range(4)]
        for before, after in itertools.pairwise(found):
            assert (after <= before * (1 + 1e-4) + 1e-3).all()
        assert found[3].mean() < found[0].mean()

    def test_more_states_come_nearer(self):
        quantizer, x = made(8, 16, 24), vectors(300, 24)
        found = [quantizer.relative_error(x, quantizer.encode(x, width, 2)) for width in (1, 4, 16)]
        assert found[0] > found[1] > found[2]

    def test_states_stay_different(self):
        quantizer, x = made(4, 8, 6), vectors(50, 6)
        tables = quantizer.tables()
        products = tables.products(x - quantizer.mean)
        codes = refine(products, tables, beam(products, tables, 6), 3).codes
        assert all(len({tuple(state) for state in frame.tolist()}) == 6 for frame in codes)

    def test_what_was_summed_is_found_again(self):
        quantizer = made(4, 32, 64)
        codes = torch.randint(0, 32, (200, 4), generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(quantizer.encode(quantizer.decode(codes)), codes)

    @given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 1000), st.data())
    @settings(max_examples=25, deadline=None)
    def test_the_least_are_those_of_a_sort(self, states, entries, seed, data):
        cost = torch.randn(4, states, entries, generator=torch.Generator().manual_seed(seed))
        cost[0, 0] = torch.inf  # a repeated state
        count = data.draw(st.integers(1, states * entries))
        value, state, entry = _least(cost, count)
        torch.testing.assert_close(value, cost.flatten(1).sort(dim=1).values[:, :count])
        rows = torch.arange(4).unsqueeze(1)
        torch.testing.assert_close(cost[rows, state, entry], value)
        places = state * entries + entry
        assert all(len(set(row.tolist())) == count for row in places)

    def test_states_that_are_ruled_out_are_never_chosen(self):
        cost = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
        cost[:, 1:3] = torch.inf
        _, state, _ = _least(cost, 16)
        assert set(state.flatten().tolist()) == {0, 3}

    def test_a_frame_is_done_when_its_best_state_stays(self):
        quantizer, x = made(4, 8, 6), vectors(60, 6)
        tables = quantizer.tables()
        products = tables.products(x - quantizer.mean)
        done = refine(products, tables, beam(products, tables, 4), 100)
        again = refine(products, tables, done, 1)
        torch.testing.assert_close(again.codes[:, 0], done.codes[:, 0])

    def test_what_all_entries_of_a_codebook_share_changes_nothing(self):
        """Codebooks that others learned are not centred; a partial sum must count with the means of those to come."""
        quantizer, x = made(4, 8, 6), vectors(100, 6)
        apart = torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(3)) * 20
        moved = Quantizer(quantizer.centres + apart - apart.mean(dim=0), quantizer.mean)
        torch.testing.assert_close(moved.encode(x, width=2, sweeps=0), quantizer.encode(x, width=2, sweeps=0))

    def test_blocks_change_nothing(self, monkeypatch):
        from omnipatch.modalities.speech.mvq import quantizer as module

        quantizer, x = made(4, 8, 6), vectors(101, 6)
        whole = quantizer.encode(x)
        monkeypatch.setattr(module, "_BLOCK_BYTES", 4 * 8 * 8 * 10)
        torch.testing.assert_close(quantizer.encode(x), whole)

    def test_any_leading_axes_and_none_at_all(self):
        quantizer, x = made(3, 4, 6), vectors(24, 6)
        codes = quantizer.encode(x.view(2, 3, 4, 6))
        assert codes.shape == (2, 3, 4, 3)
        torch.testing.assert_close(codes.view(24, 3), quantizer.encode(x))
        torch.testing.assert_close(quantizer.decode(codes).view(24, 6), quantizer.decode(codes.view(24, 3)))
        assert quantizer.encode(torch.zeros(0, 6)).shape == (0, 3)

    def test_the_order_follows_the_energy(self):
        centres = torch.randn(3, 8, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0, 2.0]).view(
            3, 1, 1
        )
        assert Tables.of(centres).order == (1, 2, 0)


@pytest.fixture(scope="module")
def frames():
    """Sums of hidden codes and a little noise: 3 codebooks of 16 in 20 dimensions."""
    hidden, draw = made(3, 16, 20, seed=5), torch.Generator().manual_seed(6)
    codes = torch.randint(0, 16, (6000, 3), generator=draw)
    return hidden.decode(codes) + 0.05 * torch.randn(6000, 20, generator=draw)


class TestTraining:
    @pytest.mark.parametrize(("phases", "most"), [(1, 0.25), (2, 0.25)])
    def test_it_learns_what_there_is_to_learn(self, frames, phases, most):
        rounds = []
        quantizer = train_quantizer(
            frames[:4000], 3, 16, phases=phases, rounds=12, on_round=lambda n, e: rounds.append((n, e))
        )
        assert [n for n, _ in rounds] == list(range(1, 12 * phases + 1))
        error = quantizer.relative_error(frames[4000:], quantizer.encode(frames[4000:]))
        greedy = Quantizer(residual_codebooks(frames[:4000], 3, 16, torch.Generator().manual_seed(0)))
        assert error < most
        assert error < 0.8 * greedy.relative_error(frames[4000:], greedy.encode(frames[4000:], 1, 0))

    def test_equal_seeds_give_equal_codebooks(self, frames):
        one, two, other = (train_quantizer(frames[:800], 2, 8, rounds=2, seed=s) for s in (0, 0, 1))
        assert one.fingerprint == two.fingerprint != other.fingerprint

    def test_a_stream_of_blocks_is_the_same_as_a_tensor(self, frames):
        whole = train_quantizer(frames[:800], 2, 8, rounds=2)
        streamed = train_quantizer(iter(frames[:800].split(37)), 2, 8, rounds=2)
        torch.testing.assert_close(streamed.centres, whole.centres)

    @pytest.mark.parametrize(("books", "entries"), [(1, 1), (1, 7), (3, 5), (5, 2), (2, 100)])
    def test_any_size(self, frames, books, entries):
        quantizer = train_quantizer(frames[:500], books, entries, rounds=2)
        assert quantizer.centres.shape == (books, entries, 20)
        assert torch.isfinite(quantizer.centres).all()
        assert quantizer.relative_error(frames, quantizer.encode(frames)) <= 1.01

    def test_solving_is_the_least_squares_solution(self, frames):
        x, quantizer = frames[:600] - frames[:600].mean(dim=0), made(2, 4, 20)
        codes = quantizer.encode(x)
        best = solved(quantizer.centres, x, codes)
        onehot = torch.cat([torch.nn.functional.one_hot(codes[:, n], 4) for n in range(2)], dim=1).double()
        expected = onehot @ torch.linalg.lstsq(onehot, x.double(), driver="gelsd").solution
        found = Quantizer(best).decode(codes).double()
        rest = ((found - x) ** 2).sum() / ((expected - x) ** 2).sum()
        assert 1.0 - 1e-6 <= rest < 1.001  # the pull to the present centres costs that much

    def test_unused_entries_keep_their_place(self):
        quantizer, x = made(2, 6, 4), vectors(100, 4)
        codes = quantizer.encode(x) % 5
        after = solved(quantizer.centres, x, codes)
        torch.testing.assert_close(after[:, 5], quantizer.centres[:, 5], atol=1e-4, rtol=1e-4)

    def test_dead_entries_begin_anew_where_the_error_is(self):
        centres = torch.zeros(1, 3, 2)
        centres[0, 1], centres[0, 2] = torch.tensor([1.0, 0.0]), torch.tensor([500.0, 500.0])
        x = torch.cat([torch.zeros(50, 2), torch.ones(50, 2) * torch.tensor([1.0, 0.0]), torch.full((5, 2), -9.0)])
        quantizer = Quantizer(centres)
        assert revive(quantizer, x, quantizer.encode(x), torch.Generator().manual_seed(0)) == 1
        torch.testing.assert_close(quantizer.centres[0, 2], torch.tensor([-9.0, -9.0]))
        assert quantizer.relative_error(x, quantizer.encode(x)) < 1e-6

    def test_no_entry_stays_unused(self, frames):
        quantizer = train_quantizer(frames, 4, 32, rounds=6)
        assert usage(quantizer.encode(frames), 32).used.min() > 0.95

    def test_pairs_multiplied_out_are_the_same_quantiser(self):
        small, x = made(4, 3, 6), vectors(200, 6)
        codes = small.encode(x)
        big = Quantizer(multiplied_out(small.centres, codes, 9), small.mean)
        assert big.centres.shape == (2, 9, 6)
        assert big.relative_error(x, big.encode(x)) <= small.relative_error(x, codes) + 1e-6
        fewer = multiplied_out(small.centres, codes, 4)
        used = torch.bincount(codes[:, 0] * 3 + codes[:, 1], minlength=9)
        best = int(used.argmax())
        torch.testing.assert_close(fewer[0, 0], small.centres[0, best // 3] + small.centres[1, best % 3])

    def test_equal_frames_do_not_break_it(self):
        quantizer = train_quantizer(torch.ones(50, 3), 2, 4, rounds=2)
        x = torch.ones(5, 3)
        torch.testing.assert_close(quantizer.decode(quantizer.encode(x)), x, atol=1e-3, rtol=0)

    @pytest.mark.parametrize(
        ("frames", "options", "words"),
        [
            (torch.zeros(3, 2), {}, "too few frames to learn codes from, got 3, expected at least 256"),
            (torch.zeros(0, 2), {}, "no frames"),
            (torch.full((300, 2), torch.nan), {}, "must be finite"),
            (torch.zeros(9), {}, "wrong shape"),
            (torch.zeros(300, 2), {"codebooks": 0}, "impossible size"),
            (torch.zeros(300, 2), {"phases": 3}, "impossible size"),
            ([torch.zeros(5, 2), torch.zeros(5, 3)], {}, r"wrong shape, got \[5, 3\]"),
        ],
    )
    def test_what_cannot_be_learned_from_is_one_sentence(self, frames, options, words):
        with pytest.raises(InputError, match=words):
            train_quantizer(frames, **options)


class TestSeeding:
    def test_a_reservoir_is_a_uniform_sample(self):
        counts = np.zeros(100)
        for seed in range(300):
            reservoir = Reservoir(10, seed)
            for block in torch.arange(100.0).view(-1, 1).split(7):
                reservoir.add(block)
            sample, mean = reservoir.sample()
            assert len(sample.unique()) == 10
            assert float(mean) == 49.5
            counts[sample.flatten().long().numpy()] += 1
        assert ((counts - 30) ** 2 / 27).sum() < 150  # 99 degrees of freedom

    def test_kmeans_finds_far_clusters(self):
        centres = 100.0 * torch.eye(5)
        x = centres.repeat(40, 1) + torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
        found = kmeans(x, 5, torch.Generator().manual_seed(3))
        assert torch.cdist(centres, found).min(dim=1).values.max() < 2.0


class TestFiles:
    def test_saved_and_loaded_it_gives_the_same_codes(self, tmp_path):
        quantizer, x = made(3, 8, 6), vectors(40, 6)
        quantizer.save(tmp_path / "q.safetensors")
        loaded = Quantizer.load(tmp_path / "q.safetensors")
        assert loaded.fingerprint == quantizer.fingerprint
        torch.testing.assert_close(loaded.encode(x), quantizer.encode(x), rtol=0, atol=0)

    def test_a_damaged_or_foreign_file(self, tmp_path):
        from safetensors.torch import save_file

        path = tmp_path / "q.safetensors"
        made(3, 8, 6).save(path)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(CorruptFileError, match="cannot be read as a quantiser"):
            Quantizer.load(path)
        save_file({"centres": torch.zeros(1, 1, 1)}, path)
        with pytest.raises(CorruptFileError, match="not a quantiser"):
            Quantizer.load(path)
        with pytest.raises(CorruptFileError, match="cannot be read"):
            Quantizer.load(tmp_path / "none.safetensors")

    @pytest.mark.parametrize(
        ("call", "words"),
        [
            (lambda q: q.encode(torch.zeros(2, 5)), "another dimension"),
            (lambda q: q.encode(torch.full((2, 6), torch.nan)), "must be finite"),
            (lambda q: q.decode(torch.zeros(2, 4, dtype=torch.long)), "another number of codebooks"),
            (lambda q: q.decode(torch.full((2, 3), 8)), "a code is not an entry, got 8, expected 0 to 7"),
            (lambda q: q.decode(torch.zeros(2, 3)), "codes are whole numbers, got torch.float32"),
            (lambda q: Quantizer(torch.zeros(3, 8)), "wrong shape"),
            (lambda q: Quantizer(torch.zeros(3, 8, 2), torch.zeros(3)), "differ in dimension"),
        ],
    )
    def test_misuse_is_one_sentence(self, call, words):
        with pytest.raises(InputError, match=words):
            call(made(3, 8, 6))


class TestUsage:
    def test_even_codes_use_all_their_bits(self):
        codes = torch.cartesian_prod(torch.arange(8), torch.arange(8))
        report = usage(codes, 8)
        torch.testing.assert_close(report.entropy_bits, torch.full((2,), 3.0, dtype=torch.double))
        torch.testing.assert_close(report.perplexity, torch.full((2,), 8.0, dtype=torch.double))
        assert report.shared_bits.abs().max() < 1e-9

    def test_a_repeated_codebook_is_seen(self):
        codes = torch.arange(16).repeat(4).view(-1, 1).expand(-1, 2)
        report = usage(codes, 32)
        assert report.used.tolist() == [0.5, 0.5]
        assert float(report.shared_bits[0, 1]) == pytest.approx(math.log2(16))
        assert dict(report.table())["entropy"] == "4.00 of 5.00 bits a codebook"

    def test_collapse_is_seen(self):
        report = usage(torch.zeros(50, 3, dtype=torch.long), 256)
        assert report.entropy_bits.max() == 0
        assert "0.4 %" in dict(report.table())["entries used"]

    def test_no_codes_or_foreign_ones(self):
        with pytest.raises(InputError, match="no codes"):
            usage(torch.zeros(0, 3, dtype=torch.long), 4)
        with pytest.raises(InputError, match="got 9, expected 0 to 3"):
            usage(torch.full((2, 2), 9), 4)


def test_shared_bits_do_not_depend_on_how_codes_are_stored():
    codes = torch.randint(0, 32, (20_000, 2), generator=torch.Generator().manual_seed(0))
    for dtype in (torch.uint8, torch.int16, torch.int32):
        torch.testing.assert_close(usage(codes.to(dtype), 32).shared_bits, usage(codes, 32).shared_bits)


def test_arrays_of_numpy_are_frames_too_and_folders_are_made(tmp_path):
    x = np.random.default_rng(0).standard_normal((300, 6)).astype(np.float32)
    quantizer = train_quantizer(x, 2, 8, rounds=2)
    torch.testing.assert_close(quantizer.encode(x), quantizer.encode(torch.from_numpy(x)))
    quantizer.save(tmp_path / "new" / "codes.safetensors")
    torch.testing.assert_close(Quantizer.load(tmp_path / "new" / "codes.safetensors").centres, quantizer.centres)


def test_codes_of_a_file_are_decoded_as_they_were_written():
    """`embed --codes` writes int32 arrays of numpy."""
    quantizer = made(3, 8, 6)
    codes = quantizer.encode(vectors(10, 6))
    torch.testing.assert_close(quantizer.decode(codes.numpy().astype(np.int32)), quantizer.decode(codes))


@pytest.mark.parametrize(("width", "sweeps"), [(0, 2), (-1, 2), (4, -1)])
def test_a_search_without_states_is_refused(width, sweeps):
    with pytest.raises(InputError, match="at least one state"):
        Quantizer(torch.randn(2, 4, 3)).encode(torch.zeros(5, 3), width, sweeps)
