"""Who was recorded, where the subject column of a manifest is empty."""

from __future__ import annotations

from ecg_kit import adapter, named, patient, write_dat
from omnipatch.core.config import DataConfig
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.modality import Source


def subjects(folder, paths, header="path,subject,label"):
    manifest = folder / "list.csv"
    manifest.write_text("\n".join([header, *(f"{path},,a" for path in paths)]) + "\n")
    sources = resolve_sources(adapter(), DataConfig(manifest=str(manifest)))
    return [adapter().load(source).subject for source in sources]


def test_files_of_one_name_in_several_folders_are_different_people(tmp_path):
    two = named(patient(1, ("I", "II"), 5))
    for folder in ("ann", "bob", "cleo"):
        (tmp_path / folder).mkdir()
        write_dat(tmp_path / folder, "ecg" if folder != "cleo" else "100", two)
    assert subjects(tmp_path, ["ann/ecg.hea", "bob/ecg", "cleo/100.hea"]) == ["ann/ecg", "bob/ecg", "100"]
    stretches = ["ann/ecg.hea,0,2", "bob/ecg.hea,0,2", "bob/ecg.dat,2,4"]
    assert subjects(tmp_path, stretches, "path,start_s,stop_s,subject,label") == ["ann/ecg", "bob/ecg", "bob/ecg"]


def test_a_subject_that_is_given_stands(tmp_path):
    sources = [Source(tmp_path / name / "1.hea", name, subject="ann") for name in ("first", "second")]
    assert adapter().relate(sources) == sources
    alone = [Source(tmp_path / f"100.{i}", str(i)) for i in range(2)]
    assert adapter().relate(alone) == alone, "names with a dot, of one folder"
