"""MATLAB files are walked before scipy reads them: what scipy writes passes, a damaged tag is one sentence."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from omnipatch.core.errors import CorruptFileError
from omnipatch.modalities.eeg.mat_check import check_mat5
from scipy.io import savemat

CONTENT = {
    "data": np.arange(12.0).reshape(3, 4),
    "EEG": {"chanlocs": np.array([{"labels": "Fp1"}, {"labels": "Cz"}], dtype=object), "srate": 128, "name": ""},
    "cells": np.array([1, "two", np.eye(2) * 1j], dtype=object),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_what_scipy_writes_passes(tmp_path, compressed):
    savemat(tmp_path / "x.set", CONTENT, do_compression=compressed)
    check_mat5(tmp_path / "x.set")


def test_other_forms_are_left_to_their_readers(tmp_path):
    savemat(tmp_path / "x.set", {"data": np.eye(3)}, format="4")
    check_mat5(tmp_path / "x.set")
    (tmp_path / "y.set").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    check_mat5(tmp_path / "y.set")


def test_a_type_that_does_not_exist_is_found_before_scipy_sees_it(tmp_path):
    """As an index into scipy's table of types it would end the process."""
    savemat(tmp_path / "x.set", CONTENT)
    raw = bytearray((tmp_path / "x.set").read_bytes())
    at = raw.index(struct.pack("<II", 9, 96))  # the twelve doubles of `data`
    raw[at] = 196
    (tmp_path / "x.set").write_bytes(raw)
    with pytest.raises(CorruptFileError, match=r"x\.set: cannot be read as a MATLAB file, got unknown type 196"):
        check_mat5(tmp_path / "x.set")


def test_a_claimed_size_is_never_allocated(tmp_path):
    savemat(tmp_path / "x.set", CONTENT)
    raw = bytearray((tmp_path / "x.set").read_bytes())
    raw[132:136] = b"\xff\xff\xff\x7f"
    (tmp_path / "x.set").write_bytes(raw)
    with pytest.raises(CorruptFileError, match="longer than the file"):
        check_mat5(tmp_path / "x.set")


def test_a_damaged_compression_is_one_sentence(tmp_path):
    savemat(tmp_path / "x.set", CONTENT, do_compression=True)
    raw = bytearray((tmp_path / "x.set").read_bytes())
    raw[150] ^= 0xFF
    (tmp_path / "x.set").write_bytes(raw)
    with pytest.raises(CorruptFileError, match="cannot be read as a MATLAB file"):
        check_mat5(tmp_path / "x.set")
