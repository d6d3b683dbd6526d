"""Public sets by their own layout: what is listed, with which labels, people and sides, and what is no such folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from omnipatch.core.errors import InputError
from omnipatch.modalities.speech import Speech
from omnipatch.modalities.speech.datasets import (
    DATASETS,
    TASKS,
    list_als,
    list_esc50,
    list_fsdd,
    list_fsdd_official,
    list_librispeech,
    list_speech_commands,
)


def files(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_fsdd(tmp_path):
    root = files(
        tmp_path, *(f"recordings/{d}_theo_{t}.wav" for d in (0, 9) for t in (0, 4, 5, 12)), "recordings/README"
    )
    sources = list_fsdd(root)
    assert len(sources) == 8
    assert Counter(s.label for s in sources) == {("zero",): 4, ("nine",): 4}
    assert {(s.subject, s.split) for s in sources} == {("theo", "")}
    sides = {s.record: s.split for s in list_fsdd_official(root)}
    assert sides["0_theo_4"] == "test"
    assert sides["0_theo_5"] == "train"


def test_speakers_that_joined_a_copy_of_fsdd_may_have_any_name(tmp_path):
    root = files(tmp_path, "recordings/0_George_0.wav", "recordings/0_speaker01_0.wav", "recordings/._0_theo_0.wav")
    assert {s.subject for s in list_fsdd(root)} == {"George", "speaker01"}


class TestALS:
    def root(self, tmp_path) -> Path:
        return files(tmp_path, "ALS/024_a.wav", "ALS/024_i.wav", "HC/024_a.flac", "ALS/notes.txt", "LICENSE")

    def test_a_number_in_both_groups_is_two_people(self, tmp_path):
        sources = list_als(self.root(tmp_path))
        found = {(s.record, s.subject, s.label) for s in sources}
        assert found == {
            ("ALS_024_a", "ALS_024", ("als", "a")),
            ("ALS_024_i", "ALS_024", ("als", "i")),
            ("HC_024_a", "HC_024", ("healthy", "a")),
        }

    def test_age_and_sex_are_of_the_group_too(self, tmp_path):
        root = self.root(tmp_path)
        (root / "Minsk2020_ALS_dataset.csv").write_text("ID,Sex,Age,X,Diagnosis (ALS)\n24,M,66,0.1,1\n24,F,50,0.2,0\n")
        ages = {s.subject: s.extras for s in list_als(root)}
        assert ages == {"ALS_024": {"age": "66", "sex": "m"}, "HC_024": {"age": "50", "sex": "f"}}

    def test_a_diagnosis_is_a_person_s_and_stands_beside_age_and_sex(self):
        assert TASKS[DATASETS["als"].tasks[0]].unit == "subject"
        assert TASKS["vowel"].unit == "record"
        assert DATASETS["als"].covariates == ("age", "sex")

    @pytest.mark.parametrize(
        "rows",
        ["ID,Sex,Age\n24,M,66", "ID,Sex,Age,Diagnosis (ALS)\nx,M,66,1", "ID,Sex,Age,Diagnosis (ALS)\n24,M,66,-1"],
    )
    def test_a_broken_table_is_named(self, tmp_path, rows):
        root = self.root(tmp_path)
        (root / "Minsk2020_ALS_dataset.csv").write_text(rows + "\n")
        with pytest.raises(InputError, match="Minsk2020_ALS_dataset"):
            list_als(root)


class TestSpeechCommands:
    def test_words_people_and_sides(self, tmp_path):
        root = files(tmp_path, "yes/0a_nohash_0.wav", "yes/0b_nohash_1.wav", "no/0b_nohash_0.wav", "LICENSE",
                     "no/0c_nohash_0.wav", "_background_noise_/pink_noise.wav", "README.md")  # fmt: skip
        (root / "validation_list.txt").write_text("yes/0b_nohash_1.wav\nno/0b_nohash_0.wav\n")
        (root / "testing_list.txt").write_text("no/0c_nohash_0.wav\n")
        found = {(s.record, s.subject, s.split, *s.label) for s in list_speech_commands(root)}
        assert found == {
            ("yes_0a_nohash_0", "0a", "train", "yes"),
            ("yes_0b_nohash_1", "0b", "validation", "yes"),
            ("no_0b_nohash_0", "0b", "validation", "no"),
            ("no_0c_nohash_0", "0c", "test", "no"),
        }

    def test_without_its_lists_it_is_another_folder(self, tmp_path):
        with pytest.raises(InputError, match=r"no validation_list\.txt"):
            list_speech_commands(files(tmp_path, "yes/0a_nohash_0.wav"))


class TestESC50:
    HEADER = "filename,fold,target,category,esc10,src_file,take\n"

    def root(self, tmp_path, *rows: str) -> Path:
        files(tmp_path, "meta/esc50.csv").joinpath("meta/esc50.csv").write_text(self.HEADER + "\n".join(rows))
        return tmp_path

    def test_folds_are_sites_and_clips_of_a_recording_one_subject(self, tmp_path):
        root = self.root(tmp_path, "1-7-A-0.wav,1,0,dog,True,7,A", "1-7-B-0.wav,1,0,dog,True,7,B",
                         "5-9-A-40.wav,5,40,helicopter,False,9,A")  # fmt: skip
        found = [(s.record, s.subject, s.site, *s.label) for s in list_esc50(root)]
        assert found == [
            ("1-7-A-0", "clip7", "fold1", "dog"),
            ("1-7-B-0", "clip7", "fold1", "dog"),
            ("5-9-A-40", "clip9", "fold5", "helicopter"),
        ]
        assert len(TASKS["sound"].classes) == 50

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("a.wav,1,0,dogg,True,7,A", "unknown category, got dogg"),
            ("../a.wav,1,0,dog,True,7,A", "no plain file name"),
        ],
    )
    def test_a_broken_row(self, tmp_path, row, words):
        with pytest.raises(InputError, match=words):
            list_esc50(self.root(tmp_path, row))


class TestLibriSpeech:
    def root(self, tmp_path) -> Path:
        chapter = "train-clean-100/103/1240/103-1240"
        root = files(tmp_path, f"{chapter}-0000.flac", f"{chapter}-0001.flac", "README.TXT",
                     "dev-other/116/288/116-288-0000.flac", "test-clean/61/70/61-70-0000.flac")  # fmt: skip
        (root / f"{chapter}.trans.txt").write_text("103-1240-0000 CHAPTER ONE\n")
        (root / "SPEAKERS.TXT").write_text(
            ";ID  |SEX| SUBSET\n103 | F | train-clean-100 | 25 | A\n61 | M | test | 8 | B\n"
        )
        return root

    def test_readers_sides_texts_and_sex(self, tmp_path):
        found = {
            s.record: (s.subject, s.split, s.label, s.extras.get("text")) for s in list_librispeech(self.root(tmp_path))
        }
        assert found == {
            "103-1240-0000": ("103", "train", ("female",), "CHAPTER ONE"),
            "103-1240-0001": ("103", "train", ("female",), None),
            "116-288-0000": ("116", "validation", (), None),
            "61-70-0000": ("61", "test", ("male",), None),
        }

    def test_a_line_about_readers_that_is_none(self, tmp_path):
        root = self.root(tmp_path)
        (root / "SPEAKERS.TXT").write_text("103 F\n")
        with pytest.raises(InputError, match="cannot be read, got 103 F"):
            list_librispeech(root)


@pytest.mark.parametrize("name", DATASETS)
def test_another_folder_is_one_sentence(name, tmp_path):
    files(tmp_path, "holiday/photo.jpg")
    with pytest.raises(InputError, match=r"wrong layout for data set [a-z0-9-]+, got .*, expected "):
        DATASETS[name].list_sources(tmp_path)


def test_every_set_has_a_licence_and_says_where_to_get_it():
    for dataset in Speech().datasets().values():
        assert dataset.licence
        assert dataset.citation
        assert "http" in dataset.instructions
