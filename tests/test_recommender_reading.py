"""The user's own files: tables of any header, user lists, sequences, side graphs, and what is wrong with them."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest
from omnipatch import InputError
from omnipatch.modalities.recommender.reading import read_interactions, read_together
from omnipatch.modalities.recommender.side_graphs import from_triples, read_pairs, read_triples
from omnipatch.modalities.recommender.tables import read_table, read_tables

pytest.importorskip("pandas")

ROWS = [("ann", "7", 5.0, 100.0), ("bob", "7", 3.0, 90.0), ("ann", "12", 1.0, 101.0)]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def assert_rows(found, rating=True, time=True):
    """The three rows above."""
    assert found.users.tolist() == ["ann", "bob"]
    assert found.items.tolist() == ["7", "12"]
    assert found.keys.tolist() == [0, 1, 2]
    if rating:
        assert found.rating.tolist() == [5, 1, 3]
    if time:
        assert found.time.tolist() == [100, 101, 90]


class TestTables:
    @pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
    @pytest.mark.parametrize(
        "header",
        [
            "user item rating time",
            "user_id:token item_id:token rating:float timestamp:float",
            "UserId MovieId Stars Date",
        ],
    )
    def test_headers_and_delimiters(self, tmp_path, delimiter, header):
        lines = [header.split(), *([str(cell) for cell in row] for row in ROWS)]
        assert_rows(read_table(written(tmp_path / "a.csv", "\n".join(delimiter.join(line) for line in lines))))

    def test_order_of_columns_and_others_between(self, tmp_path):
        text = "genre,stamp,item,user,stars\n" + "".join(f'"a, b",x,{i},{u},{r}\n' for u, i, r, _ in ROWS)
        assert_rows(read_table(written(tmp_path / "a.csv", text)), time=False)

    def test_names_of_ones_own(self, tmp_path):
        path = written(tmp_path / "a.csv", "who,what\n" + "".join(f"{u},{i}\n" for u, i, *_ in ROWS))
        with pytest.raises(InputError, match=r"no column is the user.*got who, what.*columns \{'user'"):
            read_table(path)
        assert_rows(read_table(path, {"user": "who", "item": "what"}), rating=False, time=False)
        with pytest.raises(InputError, match=r"no column 'whom'.*did you mean 'who'"):
            read_table(path, {"user": "whom"})

    def test_two_columns_that_could_be_it(self, tmp_path):
        path = written(tmp_path / "a.csv", "user,movie,song\n1,2,3\n")
        with pytest.raises(InputError, match=r"two columns could be the item.*movie, song"):
            read_table(path)
        assert read_table(path, {"item": "song"}).items.tolist() == ["3"]
        path = written(tmp_path / "b.csv", "user_id,item_id,song\n1,2,3\n")
        assert read_table(path).items.tolist() == ["2"]

    def test_without_a_header(self, tmp_path):
        path = written(tmp_path / "ratings.dat", "1::1193::5::978300760\n1::661::3::978302109\n")
        found = read_table(path)
        assert found.items.tolist() == ["661", "1193"]
        assert found.time.tolist() == [978302109, 978300760]
        assert len(read_table(written(tmp_path / "u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n"))) == 2
        with pytest.raises(InputError, match="no header"):
            read_table(written(tmp_path / "b.csv", "1,2,3\n"))

    def test_dates_become_seconds(self, tmp_path):
        text = "user,item,date\na,b,1970-01-02\na,c,1970-01-01T00:00:10\n"
        assert read_table(written(tmp_path / "a.csv", text)).time.tolist() == [86400, 10]

    def test_packed(self, tmp_path):
        with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
            file.write("user,item\n" + "".join(f"{u},{i}\n" for u, i, *_ in ROWS))
        assert_rows(read_interactions(tmp_path / "a.csv.gz"), rating=False, time=False)

    def test_parquet(self, tmp_path):
        pytest.importorskip("pyarrow")
        import pandas

        frame = pandas.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "time"])
        frame.to_parquet(tmp_path / "a.parquet")
        assert_rows(read_interactions(tmp_path / "a.parquet"))
        frame["time"] = pandas.to_datetime(frame["time"], unit="s")
        frame.to_parquet(tmp_path / "b.parquet")
        assert_rows(read_interactions(tmp_path / "b.parquet"))
        (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
        with pytest.raises(InputError, match=r"a.parquet: cannot be read as a table"):
            read_interactions(tmp_path / "a.parquet")

    def test_pieces_make_no_difference(self, tmp_path):
        rng = np.random.default_rng(0)
        rows = zip(*(rng.integers(0, n, 500).tolist() for n in (40, 60, 5, 999)), strict=True)
        path = tmp_path / "a.csv"
        path.write_text("user,item,rating,time\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
        (whole,), (pieces,) = read_tables([path]), read_tables([path], chunk_rows=7)
        assert whole.fingerprint == pieces.fingerprint
        assert whole.time.tolist() == pieces.time.tolist()
        assert whole.merged == pieces.merged > 0

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "the file is empty"),
            ("\n\n", "the file is empty"),
            ("user,item\n", "no interactions"),
            ("user,item,time\n1,2,3\n1,3,\n", "row 2 has no proper time.*got nan"),
            ("user,item,time\n1,2,nan\n", "row 1 has no proper time"),
            ("user,item,time\n1,2,2020-01-01\n1,3,soon\n", "row 2 has no proper time"),
            ("user,item,rating\n1,2,good\n", "row 1 has no proper rating.*got good"),
            (
                'user,item,rating\n1,2,3\n1,3,"4,5"\n',
                "row 2 has no proper rating.*got 4,5, expected a number with a decimal p",
            ),
            ("user,item,time\n1,2,01.02.2024\n", "row 1 has no proper time.*got 01.02.2024.*such as 2026-01-31"),
            ("user,item\n1,2\n1.5,2\n", "row 2 has no proper user.*got 1.5"),
            ("user,item\na,x,y\nb,x\n", "more cells than the header"),
            ("user,item\nb,x\na,x,y\n", "Expected 2 fields in line 3, saw 3"),
            ("user,item,rating\n1,2,inf\n", "row 1 has no proper rating"),
            ("user,item\n1,2\n-5,3\n", "row 2 has no proper user.*got -5"),
            ("user,item\n1,2\n4,\n", "row 2 has no proper item.*got nothing"),
            ("user,item\n1,2\n4\n", "row 2 has no proper item"),
            ('user,item\n1,"2\n', "cannot be read as a table"),
        ],
    )
    def test_bad_tables(self, tmp_path, text, says):
        with pytest.raises(InputError, match=f"a.csv: .*{says}|{says}"):
            read_table(written(tmp_path / "a.csv", text))

    def test_no_text(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x01" * 9)
        with pytest.raises(InputError, match=r"a.csv:1: cannot be read as text.*save it as UTF-8"):
            read_table(tmp_path / "a.csv")
        with pytest.raises(InputError, match="no such file"):
            read_table(tmp_path / "b.csv")

    def test_memory_is_that_of_the_codes(self, tmp_path):
        """Text of a table is never held: what reading needs grows by numbers only, whatever names are long."""
        pandas = pytest.importorskip("pandas")
        rng = np.random.default_rng(0)
        rows = 200_000
        names = np.array([f"a-rather-long-name-of-somebody-{n:06d}" for n in range(500)])
        frame = pandas.DataFrame({"user": names[rng.integers(0, 500, rows)], "item": names[rng.integers(0, 500, rows)]})
        frame.to_csv(tmp_path / "a.csv", index=False)
        size = (tmp_path / "a.csv").stat().st_size
        del frame
        tracemalloc.start()
        read_tables([tmp_path / "a.csv"], chunk_rows=5_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert size > 70 * rows
        assert peak < 60 * rows + 5e6

    @pytest.mark.slow
    def test_ten_million_rows(self, tmp_path):
        rng = np.random.default_rng(0)
        with (tmp_path / "a.csv").open("w") as file:
            file.write("user,item,rating,time\n")
            for _ in range(20):
                columns = [rng.integers(0, n, 500_000) for n in (1_000_000, 100_000, 6, 10**9)]
                file.write(
                    "\n".join(",".join(row) for row in zip(*(c.astype(str) for c in columns), strict=True)) + "\n"
                )
        tracemalloc.start()
        found = read_table(tmp_path / "a.csv")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found) + found.merged == 10_000_000
        assert peak < 1.5e9


class TestLists:
    def test_sets_and_sequences(self, tmp_path):
        path = written(tmp_path / "a.txt", "3 9 2 4\n10 2\n\n5\n")
        found = read_interactions(path)
        assert found.users.tolist() == ["3", "5", "10"]
        assert found.user_degree.tolist() == [3, 0, 1]
        assert not found.ordered
        ordered = read_interactions(path, layout="sequences")
        assert ordered.items[ordered.history(0)].tolist() == ["9", "2", "4"]

    def test_files_of_a_split_share_codes(self, tmp_path):
        paths = [written(tmp_path / f"{n}.txt", text) for n, text in enumerate(["1 5 6\n", "1 4\n2 5\n"])]
        train, test = read_together(paths)
        assert train.items.tolist() == test.items.tolist() == ["4", "5", "6"]
        assert train.matrix.shape == test.matrix.shape == (2, 3)

    def test_a_table_by_its_header_whatever_its_ending(self, tmp_path):
        assert len(read_interactions(written(tmp_path / "a.txt", "user item\n1 2\n1 3\n"))) == 2

    @pytest.mark.parametrize(
        ("text", "says"),
        [("", "empty"), ("1 2 -3\n", "a.txt:1: negative id, got -3"), ("7\n", "no interactions")],
    )
    def test_bad_lists(self, tmp_path, text, says):
        with pytest.raises(InputError, match=says):
            read_interactions(written(tmp_path / "a.txt", text))

    def test_a_table_called_a_list(self, tmp_path):
        with pytest.raises(InputError, match="no list of items"):
            read_interactions(written(tmp_path / "a.txt", "1,2,3\n"), layout="lists")
        with pytest.raises(InputError, match=r"unknown layout 'list'.*'lists'"):
            read_interactions(tmp_path / "a.txt", layout="list")


class TestSideGraphs:
    def test_friends(self, tmp_path):
        known = np.array(["1", "2", "3"])
        found = read_pairs(written(tmp_path / "s.txt", "1 2\n2 1\n9 1\n3 3\n"), known)
        assert found.adjacency.toarray().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
        assert found.dropped == 2
        assert found.linked.tolist() == [True, True, False]

    def test_facts(self, tmp_path):
        known = np.array(["0", "1"])
        path = written(tmp_path / "kg.txt", "0 r1 77\n1 r1 77\n1 r2 88\n88 r2 99\n")
        found = read_triples(path, known, relations={"r1": "film.actor"})
        assert (found.rows, found.nodes, len(found)) == (2, 5, 4)
        assert found.relations == ("film.actor", "r2")
        assert found.adjacency.shape == (5, 5)
        assert found.adjacency.sum() == 8

    @pytest.mark.parametrize(
        ("text", "says"), [("", "empty"), ("1 2 3\n", r"s.txt:1: the line has another number"), ("8 9\n", "no pair is")]
    )
    def test_bad_pairs(self, tmp_path, text, says):
        with pytest.raises(InputError, match=says):
            read_pairs(written(tmp_path / "s.txt", text), np.array(["1", "2"]))

    def test_facts_about_nothing_known(self):
        with pytest.raises(InputError, match="no triple is about a known item"):
            from_triples([("7", "r", "8")], np.array(["1"]))
        with pytest.raises(InputError, match="no triples"):
            from_triples([], np.array(["1"]))
